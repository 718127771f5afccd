"""The artifact store: artifacts, records of runs, saved states; verify, gc, copy.

Door:
    artifacts: *, Artifact, ArtifactFile, open_store, Store
    bucket: PROBES
    contents: Kind
    copy: copy_store
    garbage: Thing
    lineage: Holders, inputs_of, label_of, read_manifests
    manifests: digest_of, file_digest, MANIFEST, Manifest, Name
    raw_changes: index_changes, RawChanges
    runs: COMPLETED, DONE, PREEMPTED, records, RUNNING, RunRecord, STOPPED
    sweep: Sweep
    trainings: Done, kept_states, lineage_of, saved_states, state_name, WORK
    verify: drop, Findings, verify

Not here: what an artifact is made from: keys are worked out in `flows.keys`.
"""
