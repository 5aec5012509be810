"""The code strings that are kept, and the terms that each may have; any other value goes.

A code string holds up to sixteen letters, which is enough for a name. So the values are compared
with the defined terms and enumerated values of PS3.3, rather than trusted for their VR.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

_YES_NO = "YES NO"
_SIDES = "L R B U"
_MODALITIES = (
    "AR ASMT AU BDUS BI BMD CFM CR CT CTPROTOCOL DG DMS DOC DX ECG EEG EMG EOG EPS ES FID GM HC HD "
    "IO IOL IVOCT IVUS KER KO LEN LS M3D MG MR NM OAM OCT OP OPM OPR OPT OPTBSV OPTENF OPV OSS OT "
    "PA PLAN POS PR PT PX REG RESP RF RG RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD RTSEGANN "
    "RTSTRUCT RWV SEG SM SMR SR SRF STAIN TEXTUREMAP TG US VA XA XC"
)
_BODY_PARTS = (
    "ABDOMEN ABDOMENPELVIS ANKLE ARM AXILLA BACK BLADDER BRAIN BREAST CALCANEUS CALF CAROTID "
    "CEREBELLUM CERVIX CHEST CHESTABDOMEN CHESTABDPELVIS CLAVICLE COCCYX COLON CSPINE CTSPINE "
    "DUODENUM EAR ELBOW ESOPHAGUS EXTREMITY EYE EYELID FACE FEMUR FINGER FOOT FOREARM GALLBLADDER "
    "HAND HEAD HEADNECK HEART HIP HUMERUS IAC ILIUM JAW KIDNEY KNEE LARYNX LEG LIVER LSPINE "
    "LSSPINE LUNG MANDIBLE MAXILLA MEDIASTINUM MOUTH NECK NECKCHEST NECKCHESTABDOMEN NOSE ORBIT "
    "OVARY PANCREAS PAROTID PATELLA PELVIS PENIS PHARYNX PROSTATE RADIUS RECTUM RIB SACRUM SCALP "
    "SCAPULA SCLERA SCROTUM SHOULDER SIJOINT SKULL SPINE SPLEEN SSPINE STERNUM STOMACH TESTIS "
    "THIGH THORAX THUMB THYMUS THYROID TLSPINE TMJ TOE TONGUE TRACHEA TSPINE ULNA URETER URETHRA "
    "UTERUS VAGINA VULVA WHOLEBODY WRIST ZYGOMA"
)
_VIEWS = (
    "AP PA LL RL RLD LLD RLO LLO LATERAL LAT OBLIQUE AXIAL CC MLO ML LM LMO SIO XCC XCCL XCCM FB "
    "ISO TAN"
)
_POSITIONS = "HFP HFS HFDR HFDL FFDR FFDL FFP FFS LFP LFS RFP RFS AFDR AFDL PFDR PFDL"
_IMAGE_TYPES = (
    "ORIGINAL DERIVED MIXED PRIMARY SECONDARY AXIAL LOCALIZER VOLUME TOMOSYNTHESIS "
    "GENERATED_2D NONE REFORMATTED RESAMPLED MPR MAXIMUM MINIMUM MEAN M P I R "
    "M_FFE M_SE M_IR ADC DIFFUSION PROJECTION REFORMAT SUBTRACTION WHOLE_BODY STATIC DYNAMIC "
    "GATED TOMO RECON EMISSION TRANSMISSION POST_PROCESSED LABEL OVERVIEW THUMBNAIL"
)
_PHOTOMETRIC = (
    "MONOCHROME1 MONOCHROME2 RGB YBR_FULL YBR_FULL_422 YBR_PARTIAL_420 YBR_PARTIAL_422 YBR_ICT "
    "YBR_RCT"
)

TERMS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        keyword: frozenset(terms.split())
        for keyword, terms in {
            "Modality": _MODALITIES,
            "ImageType": _IMAGE_TYPES,
            "FrameType": _IMAGE_TYPES,
            "BodyPartExamined": _BODY_PARTS,
            "ViewPosition": _VIEWS,
            "PatientPosition": _POSITIONS,
            "PatientOrientation": "A P L R H F AL AR AH AF PL PR PH PF LH LF RH RF",
            "Laterality": _SIDES,
            "ImageLaterality": _SIDES,
            "FrameLaterality": _SIDES,
            "PatientSex": "M F O",
            "BurnedInAnnotation": _YES_NO,
            "RecognizableVisualFeatures": _YES_NO,
            "QualityControlImage": _YES_NO,
            "PresentationIntentType": "PRESENTATION PROCESSING",
            "PresentationLUTShape": "IDENTITY INVERSE",
            "PixelIntensityRelationship": "LIN LOG DISP OTHER",
            "VOILUTFunction": "LINEAR LINEAR_EXACT SIGMOID",
            "RescaleType": "HU US MGML OD Z_EFF",
            "LossyImageCompression": "00 01",
            "LossyImageCompressionMethod": "ISO_10918_1 ISO_14495_1 ISO_15444_1 ISO_13818_2",
            "ConversionType": "DV DI DF WSD SD SI DRW SYN",
            "SegmentationType": "BINARY FRACTIONAL LABELMAP",
            "SegmentationFractionalType": "PROBABILITY OCCUPANCY",
            "SegmentAlgorithmType": "AUTOMATIC SEMIAUTOMATIC MANUAL",
            "DimensionOrganizationType": "3D 3D_TEMPORAL TILED_FULL TILED_SPARSE",
            "PixelPresentation": "COLOR MONOCHROME MIXED TRUE_COLOR",
            "VolumetricProperties": "VOLUME SAMPLED DISTORTED MIXED",
            "VolumeBasedCalculationTechnique": "NONE MAX_IP MIN_IP VOLUME_RENDER MEAN MPR",
            "ContentQualification": "PRODUCT RESEARCH SERVICE",
            "PixelSpacingCalibrationType": "GEOMETRY FIDUCIAL",
            "ScanningSequence": "SE IR GR EP RM",
            "SequenceVariant": "SK MTC SS TRSS SP MP OSP NONE",
            "MRAcquisitionType": "2D 3D",
            "DoseUnits": "GY RELATIVE",
            "DoseType": "PHYSICAL EFFECTIVE ERROR",
            "DoseSummationType": "PLAN FRACTION BEAM BRACHY CONTROL_POINT RECORD MULTI_PLAN",
            "Units": "CNTS NONE CM2 PCNT CPS BQML MGMINML UMOLMINML MLMING MLG UMOLML PROPCNTS",
        }.items()
    }
    | {"PhotometricInterpretation": frozenset({*_PHOTOMETRIC.split(), "PALETTE COLOR"})}
)

_MAKERS = (
    "AGFA BARCO BRUKER CANON CARESTREAM CARL_ZEISS ESAOTE FUJI FUJIFILM GE GE_HEALTHCARE "
    "GE_MEDICAL_SYSTEMS HEIDELBERG HITACHI HOLOGIC KODAK KONICA_MINOLTA LORAD MINDRAY NIKON NIDEK "
    "OLYMPUS PHILIPS PHILIPS_HEALTHCARE PHILIPS_MEDICAL_SYSTEMS SAMSUNG SAMSUNG_ELECTRONICS "
    "SECTRA SHIMADZU SIEMENS SIEMENS_HEALTHINEERS SONOSITE TOPCON TOSHIBA TOSHIBA_MEC "
    "UNITED_IMAGING VAREX VARIAN VIDAR"
)
MAKERS = frozenset(name.replace("_", " ") for name in _MAKERS.split())
_AGE = re.compile(r"\d{3}[DWMY]")
_OLDEST = 90  # years, from which an age is given as 90: 45 CFR 164.514(b)(2)(i)(C)


def kept_term(keyword: str, value: str) -> bool:
    """Tell whether a code string has one of the terms that it may have."""
    return value in TERMS.get(keyword, ())


def kept_age(value: str) -> str:
    """Return an age as it may be kept, with all above 89 years as 90; empty where it is none."""
    if not _AGE.fullmatch(value):
        return ""
    return f"{_OLDEST:03}Y" if value.endswith("Y") and int(value[:3]) >= _OLDEST else value
