# RTMPose, narrow and small: CSPNeXt at a quarter of its width under an RTMCC head, for crops of 64 x 128 pixels.
# 1.4 M parameters (2.9 MB in half precision), about 1 ms a frame on one CPU core. Predicts Human3.6M's 17 joints itself.
codec = dict(
    type="SimCCLabel",
    input_size=(64, 128),
    # RTMPose's rule: the square root of an eighth of each side
    sigma=(2.83, 4.0),
    simcc_split_ratio=2.0,
    normalize=False,
    use_dark=False,
)

model = dict(
    type="TopdownPoseEstimator",
    data_preprocessor=dict(
        type="PoseDataPreprocessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
    ),
    backbone=dict(
        type="CSPNeXt",
        arch="P5",
        expand_ratio=0.5,
        deepen_factor=0.167,
        widen_factor=0.25,
        out_indices=(4,),
        channel_attention=True,
        norm_cfg=dict(type="BN"),
        act_cfg=dict(type="SiLU"),
    ),
    head=dict(
        type="RTMCCHead",
        in_channels=256,
        out_channels=17,
        input_size=codec["input_size"],
        in_featuremap_size=(2, 4),
        simcc_split_ratio=codec["simcc_split_ratio"],
        final_layer_kernel_size=7,
        gau_cfg=dict(
            hidden_dims=128,
            s=64,
            expansion_factor=2,
            dropout_rate=0.0,
            drop_path=0.0,
            act_fn="SiLU",
            use_rel_bias=False,
            pos_enc=False,
        ),
        loss=dict(type="KLDiscretLoss", use_target_weight=True, beta=10.0, label_softmax=True),
        decoder=codec,
    ),
    test_cfg=dict(flip_test=False),
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
