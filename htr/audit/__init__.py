"""A lines dataset in, what is wrong with it out, before a minute of training is spent on it.

run.py           audits a dataset: one pass over the lines, then every rule
measures.py      what one pass over the lines leaves: fields, sizes, digests, hashes; no images
fingerprints.py  the perceptual hash of a line
ledger.py        the same as columns of numbers, for what is looked for between lines
close_pairs.py   perceptual hashes that are close, without comparing each with each
likeness.py      how surely two lines show the same writing
spill.py         images on disk while pairs of them are compared
copies.py        the same image twice, also when it was saved, scaled or cut again
leaks.py         writers, pages and texts that are in two splits
texts.py         labels that cannot be right, characters that stand alone
pictures.py      images that show nothing, or show it lying, faint or light on dark
mislabels.py     labels that a trained model disagrees with
gather.py        what people are to read of lines in question
findings.py      a finding, the rules, and the list that other programs read
page.py          the page that people read
"""
