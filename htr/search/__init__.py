"""Search for training settings: a lines dataset and a budget in, the settings that read best out.

    space      what is searched, within which ranges; points sampled up front
    trial      one try and what came of it
    config     how to search, and who is told of it
    study      the file that trials are asked from and told to
    run        one trial after another, each led by those before it, weak ones stopped early; resumes when killed
    results    best.json and trials.csv
    plots      what the trials say, as pictures

Trials one after another (`run`) learn from each other; trials side by side (the cluster's pipeline) take the
points of `space` as they come. Both leave the same results.
"""
