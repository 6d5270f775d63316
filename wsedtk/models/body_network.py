"""The base class of networks whose body can be pretrained and frozen.

Array dimensions: B clips, T frames, F mel bins, C channels, T' output frames, E embedding size, K
classes.
"""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from wsedtk.models.layers import Dropout, Head, Network, Output, init_gru, run_gru
from wsedtk.models.pooling import Pooling

HeadKind = Literal["linear", "bigru"]


class BodyNetwork(Network):
    """A network that consists of a body and a head.

    The body computes an embedding of each output frame. The head computes probabilities from the
    embeddings. A subclass defines `body_layers` and `time_reduction`. It overrides the methods
    `enter_body`, `run_layer` and `leave_body` if their defaults do not fit its layers.

    Parameters
    ----------
    pooling : Pooling
        The pooling function.
    embedding_size : int
        The size E of the embedding of a frame.
    head : {"linear", "bigru"}
        Whether the head is one linear layer, or a bidirectional GRU and a linear layer.
    num_hidden : int
        The number of hidden units of the GRU in each direction.
    dropout : float
        The dropout rate of the embeddings and of the GRU's outputs, from 0 to 1.
    floor : float
        The probabilities of real frames are clamped to [floor, 1 - floor].

    Attributes
    ----------
    num_frozen : int
        The number of layers of the body that are not trained; see `freeze`.

    Raises
    ------
    ValueError
        If `head` is unknown, or `dropout` is below 0 or above 1.
    """

    def __init__(
        self,
        pooling: Pooling,
        embedding_size: int,
        *,
        head: HeadKind = "linear",
        num_hidden: int = 64,
        dropout: float = 0.0,
        floor: float = 0.0,
    ) -> None:
        super().__init__()
        if head not in ("linear", "bigru"):
            raise ValueError(f'head must be "linear" or "bigru", found {head!r}')
        self.gru: nn.GRU | None = None
        if head == "bigru":
            self.gru = nn.GRU(embedding_size, num_hidden, batch_first=True, bidirectional=True)
            init_gru(self.gru)
            embedding_size = 2 * num_hidden
        self.dropout = Dropout(dropout)
        self.head = Head(embedding_size, pooling, floor=floor)
        self.num_frozen = 0

    @property
    def body_layers(self) -> Sequence[nn.Module]:
        """The layers of the body that can be frozen, from the input to the embedding."""
        raise NotImplementedError

    def body_tensors(self) -> set[str]:
        """Return the names of the tensors of the body in `state_dict`."""
        layers = set(self.body_layers)
        return {
            f"{prefix}.{name}"
            for prefix, module in self.named_modules()
            if module in layers
            for name in module.state_dict()
        }

    def enter_body(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Compute the input of the first layer of the body.

        Parameters
        ----------
        x : (B, T, F) Tensor
            Normalised features, 0 in padded frames.
        mask : (B, T) Tensor of bool, or None
            True for real frames. None if all frames are real.

        Returns
        -------
        hidden : (B, C, T, F) Tensor, or Tensor with the dimensions (B, T, ...)
            The input of the first layer. If it has four dimensions, the time is the third one,
            otherwise the second one. The same holds for the outputs of the layers.
        mask : (B, T) Tensor of bool, or None
        """
        return x, mask

    def run_layer(
        self, number: int, hidden: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Compute the output of a layer of the body, and the mask of its frames, from its input."""
        output: tuple[Tensor, Tensor | None] = self.body_layers[number](hidden, mask)
        return output

    def leave_body(self, hidden: Tensor) -> Tensor:
        """Compute the embeddings (B, T', E) from the output of the last layer of the body."""
        return hidden

    def run_body(
        self, x: Tensor, mask: Tensor | None, start: int = 0, stop: int | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Run some consecutive layers of the body.

        Parameters
        ----------
        x : Tensor
            The output of layer `start` - 1. If `start` is 0, normalised features (B, T, F), 0 in
            padded frames.
        mask : (B, T) Tensor of bool, or None
            True for real frames of `x`. None if all frames are real.
        start, stop : int
            The first layer, and the layer before which to stop, counted from 0. By default, the
            whole body is run.

        Returns
        -------
        hidden : Tensor
            The output of the last of these layers. For the last layer of the body, the embeddings
            (B, T', E).
        mask : (B, T') Tensor of bool, or None
            The mask of the frames of `hidden`.
        """
        num_layers = len(self.body_layers)
        stop = num_layers if stop is None else stop
        if start == 0:
            x, mask = self.enter_body(x, mask)
        for number in range(start, stop):
            x, mask = self.run_layer(number, x, mask)
        return (self.leave_body(x) if start < stop == num_layers else x), mask

    def freeze(self, num_layers: int) -> None:
        """Freeze the first layers of the body, and unfreeze its other layers.

        The weights of frozen layers are not trained. These layers stay in evaluation mode, so that
        the statistics of their batch norm do not change, and their dropout is off.

        Parameters
        ----------
        num_layers : int
            The number of frozen layers.

        Raises
        ------
        ValueError
            If `num_layers` is negative, or larger than the number of layers of the body.
        """
        layers = self.body_layers
        if not 0 <= num_layers <= len(layers):
            raise ValueError(
                f"the number of frozen layers must be from 0 to {len(layers)}, found {num_layers}"
            )
        self.num_frozen = num_layers
        for number, layer in enumerate(layers):
            layer.requires_grad_(number >= num_layers)
        self.train(self.training)

    def train(self, mode: bool = True) -> "BodyNetwork":
        """Set the network to training mode or evaluation mode, except its frozen layers."""
        super().train(mode)
        for layer in self.body_layers[: self.num_frozen]:
            layer.eval()
        return self

    def forward(self, x: Tensor, mask: Tensor | None = None, start: int = 0) -> Output:
        """Run the network on features (B, T, F), or on the output of the layers before `start`.

        See `Network.forward` and `run_body`.
        """
        hidden, mask = self.run_body(x, mask, start)
        hidden = self.dropout(hidden)
        if self.gru is not None:
            hidden = self.dropout(run_gru(self.gru, hidden, mask))
        return self.head(hidden, mask)
