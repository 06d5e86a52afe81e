"""``acnorm predict RUN DATA``: a finished run on new images."""

from __future__ import annotations

import logging

from acnorm.cli.parser import Parser


def main(argv: list[str]) -> int:
    """Write the predictions and print where they are."""
    parser = Parser("predict", "Run a finished run's network on new images.")
    parser.add_argument("run", metavar="RUN", help="folder of a finished run")
    parser.add_argument("data", metavar="DATA", help="an image, a folder of images, or labelled data")
    parser.add_argument("--out", help="the CSV (default: predictions/NAME.csv in the run)")
    parser.add_argument("--format", help="of labelled data; found out where not given")
    parser.add_argument("--model", help="module:function, where the run's network is one of your own")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing CSV")
    options = parser.parse(argv)
    logging.getLogger("acnorm").setLevel(logging.INFO)
    from acnorm.training.predict import predict

    print(predict(**vars(options)))
    return 0
