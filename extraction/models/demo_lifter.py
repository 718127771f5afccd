# VideoPose3D over 27 frames: 3.2 M parameters, 6.5 MB in half precision. Both blocks of kernel 1 add depth, not time.
# Made for windows placed by `extraction.lifting.canonical.canonical`, which is why the camera is 1000 x 1000.
# ruff: noqa: C408 (mmpose's configs are written with dict(...))
codec = dict(type="VideoPoseLifting", num_keypoints=17, zero_center=True, root_index=0, remove_root=False)
camera_param = dict(w=1000, h=1000)
normalise = "canonical"  # read by extraction.extract
seq_len = 27
channels = 512

model = dict(
    type="PoseLifter",
    backbone=dict(
        type="TCN",
        in_channels=2 * 17,
        stem_channels=channels,
        num_blocks=4,
        kernel_sizes=(3, 3, 3, 1, 1),
        # windows are drawn anew at every step: there is nothing to memorise
        dropout=0.0,
        use_stride_conv=True,
    ),
    head=dict(
        type="TemporalRegressionHead",
        in_channels=channels,
        num_joints=17,
        loss=dict(type="MPJPELoss"),
        decoder=codec,
    ),
    test_cfg=dict(flip_test=True),
)

pipeline = [
    dict(type="GenerateTarget", encoder=codec),
    dict(type="PackPoseInputs", meta_keys=("id", "category_id", "target_img_path", "flip_indices", "target_root")),
]
test_dataloader = dict(
    batch_size=1,
    dataset=dict(
        type="Human36mDataset",
        ann_file="",
        seq_len=seq_len,
        causal=False,
        pad_video_seq=True,
        metainfo=dict(from_file="configs/_base_/datasets/h36m.py"),
        pipeline=pipeline,
        test_mode=True,
    ),
)
val_dataloader = test_dataloader
default_scope = "mmpose"
