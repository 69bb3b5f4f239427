"""KFP steps, one folder each: component.py (signature and one call) and the module that does the work."""
