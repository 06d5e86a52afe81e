"""Which checkpoint to fine-tune: transferability measures, one file each, and the ranking of candidates.

probe    the short, fixed fine-tune after which AC-Corr is read
ac_corr  AC-Corr, read off a probed network
rank     candidates in, table out
"""
