"""Step 4: a challenger, trained from the champion's weights where there is one."""
