"""Other people's layouts in, a lines dataset out; one file a layout.

    manifest.py        any table of file_name and text, with images in folders or tars beside it
    names_csv.py       the Kaggle names layout: FILENAME and IDENTITY, with images in folders below the table
    text_files.py      images with a text file each: a.png and a.gt.txt
    iam.py             the IAM database: words.txt or lines.txt
    page_folder.py     page images with ALTO or PAGE XML; page_scans.py: their images
    parquet_images.py  Hugging Face's Parquet
    corrections.py     the store that the server keeps of what people corrected

    policy.py      cleaning rules as data; policies/: those that come along
    tables.py      reading CSV tables, strictly; json_lines.py: JSON Lines
    folders.py     the files below a folder, and what their places say
    images.py      finding a row's image, and making sure that it decodes
    splits.py      choosing a split where the table has none
    rows.py        the way from rows to a dataset that all layouts share: kept or quarantined, nothing else

A new layout needs a function that yields rows and one that turns a row into a `Line` or raises `RowRejected`.
"""
