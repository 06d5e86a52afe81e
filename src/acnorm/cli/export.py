"""``acnorm export RUN --format onnx|torch-export``: the network of a finished run for other programs."""

from __future__ import annotations

from acnorm.cli.parser import Parser


def main(argv: list[str]) -> int:
    """Export, check against the run, and print where the file is."""
    parser = Parser("export", "Export a finished run's network, checked.")
    parser.add_argument("run", metavar="RUN", help="folder of a finished run")
    parser.add_argument("--format", required=True, help="onnx or torch-export")
    parser.add_argument("--out", help="the file (default: model/model.onnx or model/model.pt2 in the run)")
    parser.add_argument("--model", help="module:function, where the run's network is one of your own")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    options = parser.parse(argv)
    from acnorm.training.export import export

    exported = export(**vars(options))
    print(f"{exported.path} (logits differ from the run's by at most {exported.difference:.1e})")
    return 0
