"""Whether a program is being exported, in which every size but those of weights is unknown."""
import torch

# torch 2.6 has no such function.
is_exporting = getattr(torch.compiler, 'is_exporting', lambda: False)
