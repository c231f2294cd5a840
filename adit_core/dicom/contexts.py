"""Presentation contexts: what two peers agree to exchange, and in which transfer syntax (PS3.8 7.1.1.13).

ADIT proposes one context for each pair of a SOP class and a transfer syntax. Several transfer
syntaxes in one context would leave the choice to the acceptor once for all instances of the class,
and archives that hold a class in two syntaxes (Orthanc among them) fail to send the other one.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product

from pydicom import uid

VERIFICATION = "1.2.840.10008.1.1"
"""The SOP class of C-ECHO (PS3.4 A)."""
MOST_CONTEXTS = 128
"""In one association: their identifiers are the odd numbers of a byte (PS3.8 9.3.2.2)."""

MESSAGE_TRANSFER_SYNTAXES: tuple[str, ...] = (uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian)
"""For the identifiers of queries and retrievals; the first one that is accepted is used."""

STORAGE_TRANSFER_SYNTAXES: tuple[str, ...] = (
    uid.ExplicitVRLittleEndian,
    uid.ImplicitVRLittleEndian,
    uid.JPEG2000Lossless,
    uid.JPEGLosslessSV1,
    uid.JPEGBaseline8Bit,
    uid.RLELossless,
    uid.JPEGLSLossless,
    uid.JPEG2000,
    uid.JPEGLSNearLossless,
    uid.JPEGExtended12Bit,
    uid.JPEGLossless,
    uid.DeflatedExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.MPEG2MPML,
    uid.MPEG2MPHL,
    uid.MPEG4HP41,
    uid.MPEG4HP41BD,
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
    uid.HTJ2K,
    uid.HEVCMP51,
)
"""In which instances are stored and sent, the most frequent ones first."""

LOSSLESS_COMPRESSED_SYNTAXES: tuple[str, ...] = (
    uid.JPEG2000Lossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLossless,
    uid.JPEGLSLossless,
    uid.RLELossless,
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
    uid.DeflatedExplicitVRLittleEndian,
)
"""Those of them that make instances smaller without changing their pixels."""

STORAGE_SOP_CLASSES: tuple[str, ...] = (
    uid.CTImageStorage,
    uid.MRImageStorage,
    uid.ComputedRadiographyImageStorage,
    uid.UID("1.2.840.10008.5.1.4.1.1.1.1"),  # Digital X-Ray Image Storage - For Presentation
    uid.SecondaryCaptureImageStorage,
    uid.XRayRadiationDoseSRStorage,
    uid.UltrasoundImageStorage,
    uid.UltrasoundMultiFrameImageStorage,
    uid.UID("1.2.840.10008.5.1.4.1.1.1.2"),  # Digital Mammography X-Ray Image Storage - For Presentation
    uid.XRayAngiographicImageStorage,
    uid.PositronEmissionTomographyImageStorage,
    uid.NuclearMedicineImageStorage,
    uid.GrayscaleSoftcopyPresentationStateStorage,
    uid.KeyObjectSelectionDocumentStorage,
    uid.BasicTextSRStorage,
    uid.EnhancedSRStorage,
    uid.ComprehensiveSRStorage,
    uid.EncapsulatedPDFStorage,
    uid.EnhancedMRImageStorage,
    uid.EnhancedCTImageStorage,
    uid.XRayRadiofluoroscopicImageStorage,
    uid.BreastTomosynthesisImageStorage,
    uid.RTImageStorage,
    uid.RTDoseStorage,
    uid.RTStructureSetStorage,
    uid.RTPlanStorage,
    uid.SegmentationStorage,
    uid.MultiFrameTrueColorSecondaryCaptureImageStorage,
    uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    uid.MultiFrameSingleBitSecondaryCaptureImageStorage,
    uid.MammographyCADSRStorage,
    uid.Comprehensive3DSRStorage,
    uid.EnhancedPETImageStorage,
    uid.EnhancedXAImageStorage,
    uid.EnhancedXRFImageStorage,
    uid.MRSpectroscopyStorage,
    uid.RawDataStorage,
    uid.SpatialRegistrationStorage,
    uid.DeformableSpatialRegistrationStorage,
    uid.ColorSoftcopyPresentationStateStorage,
    uid.ParametricMapStorage,
    uid.TwelveLeadECGWaveformStorage,
    uid.GeneralECGWaveformStorage,
    uid.VLPhotographicImageStorage,
    uid.VLEndoscopicImageStorage,
    uid.VLMicroscopicImageStorage,
    uid.VideoEndoscopicImageStorage,
    uid.VideoPhotographicImageStorage,
    uid.OphthalmicPhotography8BitImageStorage,
    uid.OphthalmicTomographyImageStorage,
    uid.RTBeamsTreatmentRecordStorage,
    uid.RTIonPlanStorage,
    uid.UID("1.2.840.10008.5.1.4.1.1.1.1.1"),  # Digital X-Ray Image Storage - For Processing
    uid.UID("1.2.840.10008.5.1.4.1.1.1.2.1"),  # Digital Mammography X-Ray Image Storage - For Processing
    uid.UID("1.2.840.10008.5.1.4.1.1.1.3"),  # Digital Intra-Oral X-Ray Image Storage - For Presentation
)
"""Tried one after the other when an archive does not tell of which SOP classes its instances are."""


@dataclass(frozen=True, slots=True)
class ProposedContext:
    """A SOP class (the abstract syntax) and one transfer syntax for it."""

    sop_class_uid: str
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True)
class PresentationContext:
    """A context that was accepted; messages name it by ``context_id``."""

    context_id: int
    sop_class_uid: str
    transfer_syntax_uid: str


class AcceptedContexts:
    """The contexts of one association, proposed and accepted."""

    def __init__(self, proposals: Iterable[ProposedContext], accepted: Iterable[PresentationContext]) -> None:
        self._proposals = frozenset(proposals)
        self._by_id = {context.context_id: context for context in accepted}
        self._by_proposal = {
            ProposedContext(context.sop_class_uid, context.transfer_syntax_uid): context
            for context in self._by_id.values()
        }

    def __iter__(self) -> Iterator[PresentationContext]:
        return iter(self._by_id.values())

    def was_proposed(self, proposal: ProposedContext) -> bool:
        """Tell whether the peer was asked for `proposal` at all."""
        return proposal in self._proposals

    def with_id(self, context_id: int) -> PresentationContext | None:
        """Return the accepted context that messages name `context_id`."""
        return self._by_id.get(context_id)

    def accepting(self, proposal: ProposedContext) -> PresentationContext | None:
        """Return the context that `proposal` was accepted as."""
        return self._by_proposal.get(proposal)

    def first_of(self, sop_class_uid: str) -> PresentationContext | None:
        """Return the accepted context of the class whose proposal came first."""
        of_class = (context for context in self if context.sop_class_uid == sop_class_uid)
        return min(of_class, key=lambda context: context.context_id, default=None)

    def cover(self, sop_class_uids: Iterable[str]) -> bool:
        """Tell whether at least one of the classes was accepted, in whatever transfer syntax."""
        accepted = {context.sop_class_uid for context in self}
        return not accepted.isdisjoint(sop_class_uids)


def message_proposals(sop_class_uid: str) -> list[ProposedContext]:
    """Return the proposals for a service whose messages carry no instances."""
    return [ProposedContext(sop_class_uid, syntax) for syntax in MESSAGE_TRANSFER_SYNTAXES]


def storage_proposals(
    sop_class_uids: Iterable[str], transfer_syntax_uids: Iterable[str] = STORAGE_TRANSFER_SYNTAXES
) -> list[ProposedContext]:
    """Return the proposals for instances of the classes in each of the transfer syntaxes."""
    return [ProposedContext(*pair) for pair in product(sop_class_uids, transfer_syntax_uids)]


def storage_groups(sop_class_uids: Sequence[str], *, reserved: int) -> list[tuple[str, ...]]:
    """Divide the classes into groups that fit, in every transfer syntax, in one association each.

    Of each association, `reserved` contexts are kept free for other purposes.
    """
    size = (MOST_CONTEXTS - reserved) // len(STORAGE_TRANSFER_SYNTAXES)
    classes = iter(sop_class_uids)
    return list(iter(lambda: tuple(islice(classes, size)), ()))
