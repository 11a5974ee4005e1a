"""Invented attachments for demonstrations and tests: a photograph, an XML form; nobody in them exists."""

from __future__ import annotations

import math
import random
from io import BytesIO

from PIL import Image, ImageChops, ImageDraw, ImageFilter

_WIDTH, _HEIGHT, _SHORE = 1440, 960, 560
_EXIF_DESCRIPTION, _EXIF_MAKE, _EXIF_MODEL, _EXIF_TIME = 0x010E, 0x010F, 0x0110, 0x0132


def specimen_photo() -> bytes:
    """Draw a photograph: a pond at dawn, with the grain and the EXIF data a camera leaves.

    Returns:
        A JPEG of 1440 by 960 pixels, the same at each call.
    """
    chance = random.Random("étang")  # noqa: S311  a picture, not a secret
    size = (_WIDTH, _HEIGHT)
    dawn, night = Image.new("RGB", size, (247, 196, 150)), Image.new("RGB", size, (66, 94, 138))
    picture = Image.composite(dawn, night, Image.linear_gradient("L").resize(size))
    glow = Image.new("L", size)
    ImageDraw.Draw(glow).ellipse((860, 330, 1010, 480), fill=230)
    for radius in (60, 14):
        halo = glow.filter(ImageFilter.GaussianBlur(radius))
        picture = Image.composite(Image.new("RGB", size, (255, 233, 196)), picture, halo)
    for depth in range(4):
        picture = _add_hills(picture, depth, chance)
    picture = _add_reflection(picture)
    grain = Image.frombytes("L", size, chance.randbytes(_WIDTH * _HEIGHT))
    grain = grain.filter(ImageFilter.GaussianBlur(0.8)).point(
        [128 + (level - 128) // 9 for level in range(256)]
    )
    picture = ImageChops.overlay(picture, Image.merge("RGB", (grain, grain, grain)))
    exif = Image.Exif()
    exif[_EXIF_DESCRIPTION] = "SPECIMEN - etang de Saint-Aurele"
    exif[_EXIF_MAKE], exif[_EXIF_MODEL], exif[_EXIF_TIME] = "Imaginaire", "Demo 1", "2026:05:17 06:12:09"
    out = BytesIO()
    picture.save(out, "JPEG", quality=88, exif=exif)
    return out.getvalue()


def _add_hills(picture: Image.Image, depth: int, chance: random.Random) -> Image.Image:
    """Lay one line of hills over the sky; the nearer, the lower and the darker."""
    waves = [(chance.uniform(0.6, 2.0) * 2**k, chance.uniform(0, 6.3), 46 / 2**k) for k in range(6)]
    ridge = [
        (x, 400 + 42 * depth + sum(h * math.sin(f * x / 190 + p) for f, p, h in waves))
        for x in range(0, _WIDTH + 8, 8)
    ]
    mask = Image.new("L", picture.size)
    ImageDraw.Draw(mask).polygon([(0, _HEIGHT), *ridge, (_WIDTH, _HEIGHT)], fill=245)
    shade = tuple(round(far + (near - far) * depth / 3) for far, near in ((136, 24), (128, 38), (146, 40)))
    return Image.composite(
        Image.new("RGB", picture.size, shade), picture, mask.filter(ImageFilter.GaussianBlur(1))
    )


def _add_reflection(picture: Image.Image) -> Image.Image:
    """Mirror what stands above the shore in rippled water."""
    water = picture.crop((0, 2 * _SHORE - _HEIGHT, _WIDTH, _SHORE)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    rippled = water.copy()
    for y in range(water.height):
        row = water.crop((0, y, _WIDTH, y + 1))
        rippled.paste(ImageChops.offset(row, round((2 + y / 60) * math.sin(y * y / 2600 + y / 3))), (0, y))
    rippled = rippled.filter(ImageFilter.BoxBlur(2))
    picture.paste(Image.blend(rippled, Image.new("RGB", rippled.size, (38, 58, 84)), 0.28), (0, _SHORE))
    return picture


def specimen_xml() -> bytes:
    """Write a grant application as a town's portal would send it.

    Returns:
        UTF-8 XML, the same at each call.
    """
    return _APPLICATION.encode()


_APPLICATION = """<?xml version="1.0" encoding="UTF-8"?>
<!-- SPÉCIMEN : demande fictive, personnes et lieux inventés. -->
<demandeSubvention xmlns="urn:example:saint-aurele-des-etangs:subvention:1" reference="SUB-2026-0318"
  specimen="true">
  <depot date="2026-11-22" canal="portail">
    <service>Service de la vie associative</service>
    <commune departement="Haute-Brume">Saint-Aurèle-des-Étangs</commune>
  </depot>
  <demandeur type="association">
    <denomination>Les Ateliers de l’Étang</denomination>
    <objet>Éducation à la nature et sauvegarde des zones humides</objet>
    <representant>
      <nom>Béranger</nom>
      <prenoms>Anaïs, Inès</prenoms>
      <qualite>présidente</qualite>
    </representant>
    <siege>5 quai des Tanneurs, Saint-Aurèle-des-Étangs</siege>
  </demandeur>
  <projet>
    <intitule>Sentier pédagogique « À fleur d’eau »</intitule>
    <resume>Création d’un sentier accessible de 1 200 m autour de l’étang : pontons, panneaux tactiles,
      relevés d’espèces menés avec l’école élémentaire.</resume>
    <calendrier debut="2027-03-01" fin="2027-10-31"/>
    <budget devise="EUR">
      <depense poste="Pontons et platelage" montant="18400.00"/>
      <depense poste="Panneaux tactiles et signalétique" montant="6250.50"/>
      <depense poste="Animation et relevés" montant="4100.00"/>
      <recette origine="Autofinancement" montant="8750.50"/>
      <recette origine="Mécénat local" montant="5000.00"/>
      <recette origine="Subvention demandée" montant="15000.00"/>
    </budget>
  </projet>
  <piecesJointes>
    <piece nom="photo-de-l-etang.jpg" nature="photographie du site"/>
  </piecesJointes>
  <engagement accepte="true">La demandeuse atteste l’exactitude des renseignements fournis.</engagement>
</demandeSubvention>
"""
