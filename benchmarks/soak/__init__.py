"""The loop's services at work for an hour: do memory, handles, threads and times stay as they were?"""
