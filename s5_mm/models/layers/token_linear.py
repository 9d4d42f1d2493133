"""Linear layer of tokens that uses the faster of a CPU's two libraries of matrix products."""
import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Below so many weights (512 x 512) a product is over before the choice of the library shows.
SMALLEST = 2**18
ONEDNN = torch.backends.mkldnn.is_available()


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``F.linear`` that large layers on several cores of a CPU compute as a 1 x 1 convolution.

    torch gives linear layers to the BLAS that it is built with and convolutions to oneDNN, which shares the work among
    threads better. Tokens are the pixels of a channels-last image as they lie in memory, so that nothing is copied. The
    function is the same up to rounding.

    Args:
        x: Tokens (B, N, C); other shapes as ``F.linear`` has them.
        weight: (D, C).
        bias: (D, ) or none.

    Returns:
        (B, N, D).
    """
    if torch.compiler.is_compiling() or not _is_faster_as_convolution(x, weight):
        return F.linear(x, weight, bias)
    pixels = x.unsqueeze(2).permute(0, 3, 1, 2)  # (B, C, N, 1)
    return F.conv2d(pixels, weight[:, :, None, None], bias).permute(0, 2, 3, 1).squeeze(2)


def _is_faster_as_convolution(x: Tensor, weight: Tensor) -> bool:
    if x.device.type != 'cpu' or x.dim() != 3 or not x.numel():
        return False
    # With one thread torch computes such convolutions without oneDNN.
    return ONEDNN and weight.numel() >= SMALLEST and torch.get_num_threads() > 1


class TokenLinear(nn.Linear):
    """``nn.Linear`` through :func:`linear`; parameters keep their names and shapes."""

    @classmethod
    def replace_in(cls, module: nn.Module) -> None:
        """Replace the linear layers below a module by such with the same parameters."""
        for name, given in list(module.named_modules()):
            if isinstance(given, nn.Linear) and not isinstance(given, cls):
                # On the meta device no random numbers are drawn, so that a seed gives the weights that it always gave.
                own = cls(given.in_features, given.out_features, given.bias is not None, device='meta')
                own.weight, own.bias = given.weight, given.bias
                module.set_submodule(name, own)

    def forward(self, x: Tensor) -> Tensor:
        """Transform tokens (B, N, in_features) to (B, N, out_features)."""
        return linear(x, self.weight, self.bias)
