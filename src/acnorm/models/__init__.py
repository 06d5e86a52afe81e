"""Networks by one string: "cifar/resnet20", "monai/resnet18", "module:function"."""
