"""What several commands share: options and what they name (a store, a model, frames, places to write), and the console.

No command lives here, and nothing here imports one.

Door:
    config: ConfigPath, load, Overrides, set_option
    console: AsJson, bar, command, console, note, plain_errors, print_error, print_json, say, silence
    flow_runs: flow_runs, LogOption
    frames: BoxesOption, CropsOption, FramesArgument, Source
    gallery: choose_gallery, Gallery, gallery_notes
    model: camera_notes, CameraOption, choose_model, composition_notes, Model, ModelOfConfig, ModelOption, newest_model,
        seen_by, sound_folder
    outputs: check_file, check_folder, check_tables, frames_file
    store: ConfigArgument, ConfigOption, open_store, StoreOption
    tables: amount, duration, facts, moment, print_below, print_whole, share, SHORT, table
"""
