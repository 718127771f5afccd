# SimpleBaseline, narrow: ResNet-18 of 24 channels that stops at a sixteenth, for crops of 64 x 128 pixels.
# 1.8 M parameters, 3.7 MB in half precision. Predicts Human3.6M's 17 joints itself.
# ruff: noqa: C408 (mmpose's configs are written with dict(...))
codec = dict(type="MSRAHeatmap", input_size=(64, 128), heatmap_size=(16, 32), sigma=1.5, unbiased=True)

model = dict(
    type="TopdownPoseEstimator",
    data_preprocessor=dict(
        type="PoseDataPreprocessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
    ),
    backbone=dict(type="ResNetV1d", depth=18, base_channels=24, stem_channels=24, strides=(1, 2, 2, 1)),
    head=dict(
        type="HeatmapHead",
        in_channels=192,
        out_channels=17,
        deconv_out_channels=(64, 64),
        deconv_kernel_sizes=(4, 4),
        loss=dict(type="KeypointMSELoss", use_target_weight=True),
        decoder=codec,
    ),
    test_cfg=dict(flip_test=False, flip_mode="heatmap", shift_heatmap=False),
)

# a ReID crop is the person's box with a margin already
val_pipeline = [
    dict(type="LoadImage"),
    dict(type="GetBBoxCenterScale", padding=1.0),
    dict(type="TopdownAffine", input_size=codec["input_size"]),
    dict(type="PackPoseInputs"),
]
test_dataloader = dict(
    batch_size=1,
    dataset=dict(
        type="CocoDataset",
        data_root="",
        data_mode="topdown",
        ann_file="",
        data_prefix=dict(img=""),
        metainfo=dict(from_file="configs/_base_/datasets/h36m.py"),
        pipeline=val_pipeline,
    ),
)
val_dataloader = test_dataloader
default_scope = "mmpose"
