"""What a cluster runs, as manifests, and the programs beside them: its API (`cluster`), its images (`images`)."""
