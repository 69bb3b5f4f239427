"""A lines dataset in, other people's layouts out; one file a layout.

table.py      manifest.csv and a folder of images: `import manifest` takes it back, byte for byte
page_xml.py   images with a PAGE file each, for eScriptorium, Transkribus and kraken
folders.py    names for image files, and folders that are written whole or not at all
"""
