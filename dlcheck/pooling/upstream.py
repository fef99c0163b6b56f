"""What torch itself provides for pooling."""

from dlcheck.component import Counterpart

COUNTERPARTS = (
    Counterpart("max_pool2d", "torch.nn.functional:max_pool2d"),
    Counterpart("max_pool2d", "torch.nn:MaxPool2d"),
    Counterpart("avg_pool2d", "torch.nn.functional:avg_pool2d"),
    Counterpart("avg_pool2d", "torch.nn:AvgPool2d"),
    Counterpart("lp_pool2d", "torch.nn.functional:lp_pool2d"),
    Counterpart("lp_pool2d", "torch.nn:LPPool2d"),
    Counterpart("global_avg_pool2d", "torch.nn.functional:adaptive_avg_pool2d", {"output_size": 1}),
    Counterpart("global_avg_pool2d", "torch.nn:AdaptiveAvgPool2d", {"output_size": 1}),
)
