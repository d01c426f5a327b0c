"""Generator of drawn pedestrians with exact labels, masks, parsing maps, keypoints and boxes.

person = draw_person(SynthConfig(), seed=0, index=12)
write_dataset(Path("people"), 2000, SynthConfig(), seed=0)
"""

from passerby.synthetic.config import ATTRIBUTES, SynthConfig
from passerby.synthetic.dataset import get_split, write_dataset
from passerby.synthetic.parts import LIP_CLASSES
from passerby.synthetic.person import SyntheticPerson, draw_person

__all__ = [
    "ATTRIBUTES",
    "LIP_CLASSES",
    "SynthConfig",
    "SyntheticPerson",
    "draw_person",
    "get_split",
    "write_dataset",
]
