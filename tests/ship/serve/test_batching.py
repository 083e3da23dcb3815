"""The queue of a model: batches, bounds, failures of neighbours, clients that leave."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from asgi import Item, Lengths, finished

from reslab.ship.serve.batching import Batcher
from reslab.ship.serve.house import House
from reslab.ship.serve.refused import Refused
from reslab.ship.serve.servable import Place
from reslab.ship.serve.settings import Settings

Use = Callable[[Batcher, Lengths], Coroutine[Any, Any, None]]


def using(batcher: Callable[[], Batcher], use: Use) -> Lengths:
    """Run `use` with a batcher and a model; the model, to see its batches."""
    model = Lengths()

    async def whole() -> None:
        made = batcher()
        try:
            await use(made, model)
        finally:
            model.gate.set()
            await made.close()

    finished(whole())
    return model


def classes(found: list[Any]) -> list[int]:
    return [one if isinstance(one, int) else int(one.values.argmax()) for one in found]


async def ask(batcher: Batcher, model: Lengths, *sizes: int, key: tuple[str, ...] = ()) -> list[Any]:
    with batcher.places(len(sizes)):
        return await batcher.put(model, [Item(size, key) for size in sizes]).results()


def test_requests_share_a_batch_up_to_its_size() -> None:
    async def use(batcher: Batcher, model: Lengths) -> None:
        model.gate.clear()
        tasks = [asyncio.ensure_future(ask(batcher, model, size)) for size in (1, 2, 3, 4, 5, 6)]
        await asyncio.sleep(0.05)
        model.gate.set()
        assert [classes(found) for found in await asyncio.gather(*tasks)] == [[1], [2], [3], [4], [5], [6]]

    model = using(lambda: Batcher(batch=4, delay=0.02, queue=10), use)
    assert model.batches == [[1, 2, 3, 4], [5, 6]]


def test_a_lone_request_does_not_wait_for_others() -> None:
    async def use(batcher: Batcher, model: Lengths) -> None:
        start = asyncio.get_running_loop().time()
        await ask(batcher, model, 3)
        assert asyncio.get_running_loop().time() - start < 5

    using(lambda: Batcher(batch=8, delay=60, queue=10), use)


def test_others_that_are_being_prepared_are_waited_for() -> None:
    """Two hold places: the first waits for the second, which comes after 50 ms."""

    async def use(batcher: Batcher, model: Lengths) -> None:
        async def late() -> list[Any]:
            with batcher.places(1):
                await asyncio.sleep(0.05)
                return await batcher.put(model, [Item(2, ())]).results()

        tasks = [asyncio.ensure_future(late()), asyncio.ensure_future(ask(batcher, model, 1))]
        await asyncio.gather(*tasks)

    assert using(lambda: Batcher(batch=8, delay=30, queue=10), use).batches == [[1, 2]]


def test_a_full_queue_refuses_and_names_the_seconds_to_wait() -> None:
    """Batches of 1 and a queue of 2: three are held, the fourth is refused. At 2 s each they take 6 s."""

    async def use(batcher: Batcher, model: Lengths) -> None:
        model.gate.clear()
        tasks = [asyncio.ensure_future(ask(batcher, model, 1)) for _ in range(3)]
        await asyncio.sleep(0.02)
        batcher.pace = 2.0
        with pytest.raises(Refused, match="queue is full") as refused:
            await ask(batcher, model, 1)
        assert (refused.value.status, refused.value.retry_after) == (503, 6)
        with pytest.raises(Refused, match="at most 2 items here, got 3") as large:
            await ask(batcher, model, 1, 1, 1)
        assert large.value.status == 413
        model.gate.set()
        await asyncio.gather(*tasks)
        assert classes(await ask(batcher, model, 4)) == [4]  # there is room again

    using(lambda: Batcher(batch=1, delay=0, queue=2), use)


def test_an_item_that_fails_does_not_fail_its_neighbours() -> None:
    async def use(batcher: Batcher, model: Lengths) -> None:
        found = await ask(batcher, model, 1, 9, 2)
        assert [isinstance(one, Refused) for one in found] == [False, True, False]
        assert "secret" not in found[1].sentence
        assert classes([found[0], found[2]]) == [1, 2]

    using(lambda: Batcher(batch=4, delay=0, queue=10), use)


def test_who_leaves_is_dropped_before_its_turn() -> None:
    async def use(batcher: Batcher, model: Lengths) -> None:
        model.gate.clear()
        first = asyncio.ensure_future(ask(batcher, model, 1))
        await asyncio.sleep(0.02)
        second, third = (asyncio.ensure_future(ask(batcher, model, size)) for size in (2, 3))
        await asyncio.sleep(0.02)
        second.cancel()
        await asyncio.sleep(0.02)
        assert batcher.held == 2
        model.gate.set()
        assert [classes(found) for found in await asyncio.gather(first, third)] == [[1], [3]]

    assert using(lambda: Batcher(batch=1, delay=0, queue=10), use).batches == [[1], [3]]


def test_time_limits_tell_waiting_from_running() -> None:
    model = Lengths()

    async def whole() -> None:
        house = House(Settings(timeout=0.1, max_batch=1), {"m": (Place(name="m", folder=Path("none")), model)})
        hosted = house.models["m"]
        model.gate.clear()
        found = await asyncio.gather(*(house.ask(hosted, model, [b"1"], {}) for _ in range(2)), return_exceptions=True)
        assert sorted(one.status for one in found) == [503, 504]
        model.gate.set()
        await house.close()

    finished(whole())


def test_a_new_version_takes_over_between_batches_and_the_old_one_is_closed_after_its_last() -> None:
    old, new = Lengths(version="v1"), Lengths(version="v2")

    async def whole() -> None:
        house = House(Settings(), {"m": (Place(name="m", folder=Path("none")), old)})
        hosted = house.models["m"]
        old.gate.clear()

        async def request() -> str:
            with hosted.using() as one:
                await house.ask(hosted, one, [b"1"], {})
                return one.about.version

        first = asyncio.ensure_future(request())
        await asyncio.sleep(0.02)
        hosted.swap(new)
        second = asyncio.ensure_future(request())
        await asyncio.sleep(0.02)
        assert not old.closed
        old.gate.set()
        assert await asyncio.gather(first, second) == ["v1", "v2"]
        assert (old.closed, new.closed) == (True, False)
        await house.close()

    finished(whole())
    assert (old.batches, new.batches) == ([[1]], [[1]])
