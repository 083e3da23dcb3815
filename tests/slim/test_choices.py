"""Which blocks a plan may take, and what it says of those that it may not."""

from torch import Tensor, nn
from towers import Add, rows, tower

from reslab.slim.finding import find_blocks
from reslab.slim.planning.choices import Choices, kept_of


def test_one_block_is_kept_by_its_name() -> None:
    blocks = find_blocks(tower(Add(), Add(), Add()), rows())
    assert kept_of(blocks, "1.1") == kept_of(blocks, 1) == kept_of(blocks, ["1.1"]) == [1]
    assert [block.module for block in Choices(blocks, "1.1").free] == ["1.0", "1.2"]


def test_the_plan_says_why_a_shared_block_stays() -> None:
    again = Add()
    blocks = find_blocks(tower(again, Add(), again, Add()), rows())
    said = (
        "1.0 cannot be removed: it is called 2 times in a pass (its weights are shared), so it is needed more than once"
    )
    assert said in Choices(blocks).protected()


def test_blocks_that_all_can_go_need_no_word() -> None:
    class Once(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.Sequential(Add(), Add())

        def forward(self, x: Tensor) -> Tensor:
            return self.blocks(x)

    assert Choices(find_blocks(Once(), rows())).protected() == [
        "one block of blocks stays, because a container may not become empty"
    ]
