"""The base class of networks whose body was trained by other people.

Array dimensions: B clips, T frames, F mel bins, T' output frames, E embedding size, K classes.
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
    embeddings. A derived class defines `body`, `body_layers` and `time_reduction`.

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
            raise ValueError(f"head must be linear or bigru, found {head!r}")
        self.gru: nn.GRU | None = None
        if head == "bigru":
            self.gru = nn.GRU(embedding_size, num_hidden, batch_first=True, bidirectional=True)
            init_gru(self.gru)
            embedding_size = 2 * num_hidden
        self.dropout = Dropout(dropout)
        self.head = Head(embedding_size, pooling, floor=floor)

    def body(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Compute the embeddings of the output frames.

        Parameters
        ----------
        x : (B, T, F) Tensor
            Normalised features, 0 in padded frames.
        mask : (B, T) Tensor of bool, or None
            True for real frames. None if all frames are real.

        Returns
        -------
        embedding : (B, T', E) Tensor
        mask : (B, T') Tensor of bool, or None
            The mask of the output frames.
        """
        raise NotImplementedError

    @property
    def body_layers(self) -> Sequence[nn.Module]:
        """The layers of the body that can be frozen, from the input to the embedding."""
        raise NotImplementedError

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Output:
        """Run the network on features (B, T, F); see `Network.forward`."""
        hidden, mask = self.body(x, mask)
        hidden = self.dropout(hidden)
        if self.gru is not None:
            hidden = self.dropout(run_gru(self.gru, hidden, mask))
        return self.head(hidden, mask)
