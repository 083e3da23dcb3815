"""The command line: one file per verb. Nothing here imports torch until a verb needs it."""

import contextlib
import errno
import logging
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cyclopts import App, CycloptsError

from reslab.cli import (
    claims,
    data,
    doctor,
    evaluate,
    export,
    guesses,
    launch,
    look,
    nets,
    predict,
    push,
    qa,
    ranks,
    report,
    runs,
    say,
    serve,
    slim,
    study,
    tables,
    train,
)
from reslab.cli.dashes import joined
from reslab.cli.failures import exit_code, unforeseen
from reslab.cli.home import expanded
from reslab.cli.streams import lasting_output
from reslab.errors import ReslabError, ReslabWarning, one_line
from reslab.progress import Lasting
from reslab.stored.files import unreadable
from reslab.train.supervised import tie
from reslab.version import __version__

HERE = Path(__file__).parents[1]
NOT_SHOWN = "recompile_limit"

app = App(
    name="reslab",
    help="The laboratory for residual networks.\n\nEvery command accepts --debug (show the traceback of an error); "
    "those that print results accept --json.",
    version=__version__,
    help_format="plaintext",
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,  # `main` says that it stopped
)
app.command(nets.nets)
app.command(train.train)
app.command(evaluate.evaluate, name="eval")
app.command(look.app)
app.command(predict.predict)
app.command(push.push)
app.command(qa.app)
app.command(tables.app)
app.command(slim.slim)
app.command(export.export)
app.command(serve.serve)
app.command(study.app)
app.command(claims.app)
app.command(data.app)
app.command(report.report)
app.command(runs.runs)
app.command(doctor.doctor)
app.register_install_completion_command(help="Install completion for your shell.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code: 0, 1 for a failure, 2 for a usage error, 128 + n after signal n."""
    words = list(sys.argv[1:] if argv is None else argv)
    launch.remember(words)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    warnings.showwarning = show_warning  # type: ignore[assignment]
    logging.getLogger("torch._dynamo.convert_frame").addFilter(without_recompiling)
    log = logging.getLogger("reslab")
    log.setLevel(logging.INFO)
    log.handlers = [Notes()]
    with lasting_output() as out:
        code = run(words, out, debug)
        ranks.leave(code)
        return code


def run(words: Sequence[str], out: Lasting, debug: bool) -> int:
    """Run one command, which prints to `out`, and turn every error into one sentence."""
    try:
        tie()
        words = joined(expanded(words))
        ranks.check(app, words)
        app(words, exit_on_error=False, print_error=False, result_action="return_value")
        out.flush()
        if out.error:  # it did not end the work; report it at the end
            raise out.error
    except launch.Left as left:
        return left.code
    except KeyboardInterrupt:
        return failed("stopped", 130, debug=False)
    except BrokenPipeError:
        return 141  # the reader of a pipe is gone: there is no one to report to
    except CycloptsError as error:
        return failed(guesses.sentence(error, app), 2, debug)
    except ReslabError as error:
        return failed(say.words(error), exit_code(error), debug)
    except SystemExit as error:  # from a model's code: reslab itself does not raise it here
        return failed(f"code that was run called sys.exit({error.code!r}); nothing more was done", 1, debug)
    except MemoryError as error:
        return failed("out of memory; a smaller --batch or --size may fit", exit_code(error), debug)
    except OSError as error:
        if error is not out.error:
            return refused(error, debug)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = "the disk is full" if full else error.strerror or str(error)
        return failed(f"cannot write the output: {why}", 1, debug)
    except Exception as error:
        return failed(unforeseen(error), exit_code(error), debug)
    return 0


class Notes(logging.Handler):
    """What the library logs, such as that the Hugging Face Hub is asked, as lines on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        if sys.stderr is not None:
            with contextlib.suppress(OSError, ValueError):  # a full or closed log does not end the work
                text = record.getMessage() if record.args else one_line(say.words(record.msg))
                print(text, file=sys.stderr, flush=True)


def refused(error: OSError, debug: bool) -> int:
    """Report a path that the system refuses before reslab reads it: too long, or in a folder without permission."""
    if error.filename and error.errno in (errno.ENAMETOOLONG, errno.EACCES, errno.EPERM):
        try:
            unreadable(str(error.filename), error)
        except ReslabError as explained:
            return failed(str(explained), explained.exit_code, debug)
    return failed(unforeseen(error), exit_code(error), debug)


def failed(sentence: str, code: int, debug: bool) -> int:
    """Print one sentence to standard error; with --debug the traceback before it. Of several processes, see ranks."""
    which = vars(error) if (error := sys.exception()) else {}
    if debug:
        traceback.print_exc()
    if not which.get("silent") and not ranks.is_echo():
        print(f"reslab: {which.get('rank', '')}{one_line(sentence)}", file=sys.stderr)
    return code


def show_warning(message: Any, category: type[Warning], filename: str, lineno: int, *rest: Any) -> None:
    """Print a warning as one line, in the name of whoever gave it: reslab, a library, or the user's own file."""
    text = one_line(say.words(message))
    if NOT_SHOWN in text:
        return
    who = "reslab" if issubclass(category, ReslabWarning) else origin(filename, lineno)
    print(f"{who}: warning: {text}", file=sys.stderr)


def origin(filename: str, lineno: int) -> str:
    """`reslab`; a library by its name, such as `torch`; any other code as `own.py:12`."""
    path = Path(filename)
    if path.is_relative_to(HERE):
        return "reslab"
    inside = [part for home in ("site-packages", "dist-packages") if home in path.parts
              for part in path.parts[path.parts.index(home) + 1 :][:1]]  # fmt: skip
    if inside:
        return Path(inside[0]).stem
    library = Path(contextlib.__file__).parent  # Python's own, also for the frozen modules that have no file
    if filename.startswith("<") or path.is_relative_to(library):
        return "python"
    return one_line(f"{path.name}:{lineno}")


def without_recompiling(record: logging.LogRecord) -> bool:
    """Not the alarms of a compiled model that it meets many shapes: the passes of `look` are meant to have many."""
    return NOT_SHOWN not in record.getMessage()
