"""KFP signature of the gate step."""

from kfp import dsl

from components.image import PIPELINE_IMAGE


@dsl.component(base_image=PIPELINE_IMAGE, install_kfp_package=False)
def gate(
    report: dsl.Input[dsl.Artifact], cer_ceiling: float, margin: float, decision: dsl.Output[dsl.Artifact]
) -> bool:
    """Decide by the rules whether the challenger may take over."""
    import json
    from pathlib import Path

    from components.gate.rules import decide
    from components.progress import errors_shown, say
    from htr.report import read_report

    with errors_shown():
        found = decide(read_report(Path(report.path)), cer_ceiling=cer_ceiling, margin=margin)
    Path(decision.path).write_text(json.dumps(found.to_dict(), indent=2), encoding="utf-8")
    say(f"gate: {'promote' if found.promote else 'keep the champion'} (rule '{found.rule}': {found.reason})")
    return found.promote
