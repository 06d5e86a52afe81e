"""What a study is made of, before any network sees it.

One `Case` is one image with its label. `formats` turns a folder, table or archive into cases, `images` reads
the pixels (through `decoders`), `splits` divides the cases by patient, `check` says what is wrong with them,
and `phantoms` generates fundus photographs for demos and tests.
"""
