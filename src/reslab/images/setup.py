"""From what a caller asks for to a prepared run folder: data loaded, net and recipe chosen, the folder named."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from reslab.errors import UsageError, arg, tell
from reslab.images.data import ImageData, load
from reslab.images.data.arrays import WORD
from reslab.images.data.words import WORDS
from reslab.images.defaults import MADE_FOR, choose, net_for, recipe_for, size_for
from reslab.images.older import older_run
from reslab.images.plan import DIGITS, Asked, Plan
from reslab.images.reading import LIST
from reslab.images.start import DEFAULT, Facts, facts_of, in_channels, net_of, resized_like, run_of
from reslab.nets import Spec, spec
from reslab.nets.checkpoints import read_checkpoint
from reslab.nets.resembling import suggested
from reslab.run import Run
from reslab.stored.files import named
from reslab.train.folder import finished
from reslab.train.life import shown
from reslab.train.naming import prepared
from reslab.train.recipe import merged, unchecked

OF_DATA = (*LIST, "root", "size", "level", "white", "max_pixels", "interpolation", "rgb")  # what data are read with
NEEDED: dict[str, dict[str, Any]] = {  # how images must be loaded, by augmentation
    "scale": {"memory": 0},  # each file is decoded again for every size, so nothing is kept decoded
    "resized-crop": {"crops": True},  # of the original images
}


def set_up(asked: Asked, out: Path | str | None = None) -> tuple[Run, ImageData]:
    """The run folder for what is asked for, made or found, and its data; what was chosen is logged, with the reasons.

    Without `out` the folder lies under runs/, and its name holds what differs from the defaults. Raises UsageError for
    settings that cannot be trained, or if `out` holds another run.
    """
    plan = planned(asked)
    found = [plan]

    def before() -> Run | None:
        older = older_run(plan)
        if older is None:
            return None
        found.append(older[1])
        return older[0]

    run = plan.prepare(out) if out is not None else prepared(plan.names(), plan.prepare, before=before)
    used = found[-1]
    used.data.announce()
    if not finished(run.folder):
        for reason in used.reasons:
            tell(reason)
    return run, used.data


def planned(asked: Asked) -> Plan:
    """The plan for what is asked for. Raises UsageError for an unknown net, recipe, key or data set."""
    if asked.recipe is not None:
        merged(unchecked(asked.recipe), dict(asked.changes))  # before the data are read
    base = base_of(asked)
    facts = None if base is None or asked.start is None else facts_of(asked.start, base)
    asked, first = with_data_of_weights(asked)
    data, options = loaded(asked, facts)
    if base is None:
        word, why = net_for(data, word=asked.word)
        base = spec(word)
        first.append(f"net {word} ({why})")
    else:
        word = asked.net or base.name
        if asked.net is None:
            first.append(f"net {word}, that of the weights")
    if "size" in options and "size" not in asked.options:
        first.append(f"images resized to {options['size']} x {options['size']}")
    net = with_options(base, word, asked)
    data, options = in_channels(data, net, facts, options)
    chosen = choose(data, word=asked.word, recipe=asked.recipe, changes=asked.changes,
                    pretrained=asked.start is not None)  # fmt: skip
    reasons = ("; ".join(first), *chosen.reasons) if first else chosen.reasons
    return Plan(asked=asked, data=data, options=options, net=net, base=base, word=word, chosen=chosen, reasons=reasons)


def base_of(asked: Asked) -> Spec | None:
    """The net that is named, or that of the weights, without the options; None if the data choose it."""
    if asked.net is not None:
        return spec(asked.net)
    if asked.start is None:
        return None
    if asked.start == DEFAULT:
        raise UsageError(arg("start", DEFAULT), " takes the pretrained weights of a library's net: name it, such as ",
                         arg("net", "timm:resnet18"))  # fmt: skip
    if found := net_of(asked.start):
        return found
    if not Path(asked.start).exists():
        raise UsageError(f"{named(asked.start)}: no such run folder or file to start from")
    raise UsageError(f"{named(asked.start)} does not say which net its weights are of: name it, such as ",
                     *suggested(read_checkpoint(asked.start).state))  # fmt: skip


def with_options(base: Spec, word: str, asked: Asked) -> Spec:
    """The net with the options that were given."""
    if not asked.net_options:
        return base
    if asked.net is None and asked.start is not None:
        known = {key: value for key, value in asked.net_options.items() if hasattr(base, key)}
        return replace(base, **known)
    return spec(word, **asked.net_options)


def loaded(asked: Asked, facts: Facts | None) -> tuple[ImageData, Mapping[str, Any]]:
    """The data and the options they were loaded with; images of one large size are resized if no recipe is named.

    Resizing is that of the weights to start from, if they say how.
    """
    if isinstance(asked.data, ImageData):
        return asked.data, {}
    word, pretrained = asked.word, asked.start is not None
    options = resized_like(facts, word, asked.options)
    name = asked.recipe or (None if pretrained else MADE_FOR.get(word))
    if name is None:
        headers = load(word, **{**options, "memory": 0})
        name = recipe_for(headers, pretrained=pretrained)[0]
        if "size" not in options and (size := size_for(headers)):
            options["size"] = size
    options |= NEEDED.get(merged(unchecked(name), dict(asked.changes)).augment, {})
    return load(word, **options), options


def with_data_of_weights(asked: Asked) -> tuple[Asked, list[str]]:
    """What is asked for, with what the run to start from says of its data, and what was taken over, in words.

    Without data they are the run's own, read as the run read them. Other images are resized to the run's size. Options
    that are given stay. Raises UsageError for a run on arrays in memory, without data.
    """
    run = None if asked.start is None else run_of(asked.start)
    if run is None or isinstance(asked.data, ImageData):
        return replace(asked, data=DIGITS if asked.data is None else asked.data), []
    about = run.read_json("data.json", "word")
    stored = {key: value for key, value in about.get("options", {}).items() if key in OF_DATA and value is not None}
    if asked.data is None:
        if about["word"] == WORD:
            raise UsageError(f"{named(run.folder)} was trained on {WORD}, which no file holds: name the data to train "
                             "on, such as ", arg("data", "FOLDER"))  # fmt: skip
        taken = {key: value for key, value in stored.items() if key not in asked.options}
        how = f" ({', '.join(f'{key} {in_words(value)}' for key, value in taken.items())})" if taken else ""
        return replace(asked, data=about["word"], options={**taken, **asked.options}), [
            f"data {about['word']}{how}, as of the weights"]  # fmt: skip
    size = stored.get("size")
    if size is None or "size" in asked.options or asked.data in WORDS:
        return asked, []
    return replace(asked, options={**asked.options, "size": size}), [
        f"images resized to {size} x {size}, the size of the weights"]  # fmt: skip


def in_words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else shown(value)
