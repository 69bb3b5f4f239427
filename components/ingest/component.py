"""KFP signature of the ingest step."""

from kfp import dsl

from components.image import PIPELINE_IMAGE


@dsl.component(base_image=PIPELINE_IMAGE, install_kfp_package=False)
def ingest(lines: str, corrections: str, held_back: float, dataset: dsl.Output[dsl.Dataset]) -> str:
    """Merge the lines with the corrections, if any; return the dataset's content digest."""
    from pathlib import Path

    from components.ingest.merge import merge
    from components.ingest.published import publish_merged
    from components.progress import errors_shown, say
    from htr.versions import open_lines

    with errors_shown():
        base, extra = open_lines(lines), open_lines(corrections) if corrections else None
        for given in filter(None, (base, extra)):
            given.verify()  # here and not later: what is merged gets digests of its own
        info = merge(base, extra, Path(dataset.path), held_back=held_back)
        uri = publish_merged(Path(dataset.path), base, extra)
    dataset.metadata.update({"digest": info.digest, "num_lines": info.num_lines, "version_uri": uri})
    say(f"ingest: {info.num_lines:,} lines, {info.counts['split']}{', ' + uri if uri else ''}")
    return info.digest
