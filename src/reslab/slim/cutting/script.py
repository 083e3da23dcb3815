"""The Python file of a cut model: it builds the intact architecture, takes the blocks out, and loads the weights."""

from collections.abc import Sequence

from reslab.slim.block import Block
from reslab.slim.cutting.changes import Change
from reslab.slim.cutting.ownfiles import COPY, Source

WEIGHTS = "model.safetensors"
HELPERS = '''
class Passing(nn.Module):
    """A removed block: it returns its input in the form in which the block returned its result."""

    def __init__(self, block, form{entry}):
        super().__init__()
        plain = (bool, int, float, str, tuple, type(None))  # attributes that the model reads from its layers
        new = {{key: value for key, value in vars(block).items() if key[0] != "_" and isinstance(value, plain)}}
        vars(self).update(new, form=form, {kept}training=block.training)

    def forward(self, *args, **kwargs):
        given = {{**{{str(i): value for i, value in enumerate(args)}}, **kwargs}}
        x = next(value for value in given.values() if isinstance(value, torch.Tensor) and value.is_floating_point())
{call}        x = self.result(x)
        if not self.form.startswith("("):
            return x
        names = [name.strip() for name in self.form[1:-1].split(",") if name.strip()]
        return tuple(x if name == "x" else given.get(name) for name in names)

    def result(self, x):
        return x
'''
COUNT = '''
    def count(self, x, given):
        """Give a cache keys of one number: transformers counts the tokens so far in its first entry."""
        for one in given:
            cache = getattr(one, "self_attention_cache", one)
            if hasattr(cache, "get_seq_length") and hasattr(cache, "layers"):
                if self.entry >= len(cache.layers) or hasattr(cache.layers[self.entry], "keys"):
                    key = x.new_zeros(x.shape[0], 1, x.shape[1], 1)
                    cache.update(key, key, self.entry)
                return
'''
ZEROS = '''

class Zeros(Passing):
    """A removed part: it returns zeros."""

    def result(self, x):
        return torch.zeros_like(x)
'''
ALONE = """
    def count(self, x, given):
        if not any(isinstance(one, torch.Tensor) and one.dim() == 3 and one is not x for one in given):
            super().count(x, given)  # not for cross-attention, which has keys of another sequence
"""


def helpers(changes: Sequence[Change], *, cached: bool) -> str:
    """The classes that stand in the places of blocks; "" if none is needed."""
    hows = {change.how for change in changes}
    if not hows & {"passing", "zeros"}:
        return ""
    call = "        self.count(x, given.values())\n" if cached else ""
    text = HELPERS.format(entry=", entry" * cached, kept="entry=entry, " * cached, call=call) + COUNT * cached
    return text + (ZEROS + ALONE * cached if "zeros" in hows else "") + "\n"


def script(
    model: str, removed: Sequence[Block], total: int, changes: Sequence[Change], statements: Sequence[str],
    *, source: Source | None, double: bool = False, cached: bool = False,
) -> str:  # fmt: skip
    """The file's text; without a source, its function takes the intact model. `cached`: it may run with a cache."""
    classes = helpers(changes, cached=cached)
    names = ["from pathlib import Path", "from safetensors.torch import load_file", "from torch import nn"]
    names += ["import torch"] if classes else []
    imports = sorted({*names, *(source.imports if source else ())}, key=lambda line: (line.startswith("from"), line))
    title = source.title if source else f"The model of class {model}"
    call, more = (
        ("", "") if source else ("net", "\n\n`net` is the intact model: build it as before, its weights do not matter.")
    )
    body = [*(source.build if source else ()), *statements, *(["net.double()"] if double else [])]
    body += [f'net.load_state_dict(load_file(Path(__file__).with_name("{WEIGHTS}")))', "return net.eval()"]
    text = "\n".join(f"    {line}" if line else "" for line in body)
    needs = ""
    if source and source.copied is not None:
        needs = f"\nIt builds the intact model with {COPY}, a copy of the file named above."
    elif source and source.needs:
        needs = (f"\nIt builds the intact model with {source.needs}, which must stay there, or be moved with a folder "
                 "that holds both.")  # fmt: skip
    about = f"""{title} without {listed(removed, total)}

The weights lie beside this file, in {WEIGHTS}. `reslab slim` wrote both; reslab is not needed to use them.{needs}{more}
"""
    return f'''"""{quoted(about)}"""

{chr(10).join(imports)}

{classes}
def make({call}):
    """The model with its weights, in eval mode."""
{text}
'''


def quoted(text: str) -> str:
    """A text as it may stand in a docstring: names of classes, modules and files can hold anything."""
    text = text.replace("\\", "\\\\").replace('"""', r"\"\"\"")
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def listed(removed: Sequence[Block], total: int) -> str:
    """The blocks, one a line: what went of them."""
    what = {"block": "", "branch": ": its branch; the shortcut stays", "part": ": zeros in its place"}
    head = f"{len(removed)} of its {total} blocks"
    return f"{head}:\n\n" + "\n".join(f"    {block.module}{what[block.kind]}" for block in removed)
