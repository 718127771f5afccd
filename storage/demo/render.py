"""Drawing one person into a crop: shaded tapered limbs in depth order over a background, then a camera's sensor."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from storage.demo.appearance import Colour, Light, Look
from storage.demo.body import Floats

Image = NDArray[np.uint8]

SHIFT = 4  # cv2's sub-pixel bits
LEGS, ARMS = ((1, 2, 3), (4, 5, 6)), ((14, 15, 16), (11, 12, 13))
LEG_RADII, ARM_RADII = ((0.085, 0.06), (0.06, 0.042)), ((0.052, 0.042), (0.042, 0.032))
"""Of upper and lower parts, metres, where each begins and where it ends."""

HEAD_RADIUS = 0.105


@dataclass(frozen=True)
class Pen:
    """Where and how to draw: the canvas, pixels a metre, and the light's direction in the image."""

    canvas: Image
    scale: float
    light: tuple[float, float]

    def limb(self, a: Floats, b: Floats, radii: tuple[float, float], colour: Colour) -> None:
        """A tapered capsule with a lit side."""
        ra, rb = radii[0] * self.scale, radii[1] * self.scale
        self._capsule(a, b, ra, rb, shade(colour, 0.72))
        aside = np.array(self.light)
        self._capsule(a + aside * ra * 0.28, b + aside * rb * 0.28, ra * 0.68, rb * 0.68, shade(colour, 1.04))

    def blob(self, centre: Floats, axes: tuple[float, float], angle: float, colour: Colour) -> None:
        """A shaded ellipse; axes in metres, angle in degrees."""
        long, short = axes[0] * self.scale, axes[1] * self.scale
        for size, bright, move in ((1.0, 0.74, 0.0), (0.72, 1.04, 0.22)):
            at = centre + np.array(self.light) * short * move
            reach = _fixed(np.array([long * size, short * size]))
            lit = shade(colour, bright)
            cv2.ellipse(self.canvas, _fixed(at), reach, angle, 0, 360, lit, cv2.FILLED, cv2.LINE_AA, SHIFT)

    def polygon(self, points: Floats, colour: Colour) -> None:
        """A flat polygon (N, 2)."""
        corners = np.round(points * (1 << SHIFT)).astype(np.int32)
        cv2.fillPoly(self.canvas, [corners], shade(colour, 1.0), cv2.LINE_AA, SHIFT)

    def _capsule(self, a: Floats, b: Floats, ra: float, rb: float, colour: Colour) -> None:
        along = b - a
        length = np.hypot(*along)
        if length > 1e-6:
            side = np.array([-along[1], along[0]]) / length
            self.polygon(np.array([a + side * ra, b + side * rb, b - side * rb, a - side * ra]), colour)
        for centre, radius in ((a, ra), (b, rb)):
            cv2.circle(self.canvas, _fixed(centre), max(int(radius * (1 << SHIFT)), 1), colour, -1, cv2.LINE_AA, SHIFT)


def shade(colour: Colour, factor: float) -> Colour:
    """A colour made lighter or darker."""
    b, g, r = (min(max(c * factor, 0.0), 255.0) for c in colour)
    return b, g, r


def _fixed(point: Floats) -> tuple[int, int]:
    x, y = np.round(np.asarray(point) * (1 << SHIFT)).astype(int)
    return int(x), int(y)


def facing(joints: Floats) -> Floats:
    """Unit vector that a person's chest points along, from joints (17, 3) in camera axes."""
    across = joints[11] - joints[14] + joints[4] - joints[1]
    up = joints[8] - joints[0]
    forward = np.cross(across, up)
    return forward / max(float(np.linalg.norm(forward)), 1e-9)


def draw_person(pen: Pen, points: Floats, joints: Floats, look: Look) -> None:
    """Draw a person.

    Args:
        pen: the canvas.
        points: joints in canvas pixels, (17, 2).
        joints: joints in camera axes, metres, (17, 3); for depth order and facing.
        look: clothes.
    """
    forward = facing(joints)
    depth = joints[:, 2]
    parts: list[tuple[float, Callable[[], None]]] = []

    def add(away: float, draw: Callable[..., None], *args: object) -> None:
        parts.append((away, partial(draw, *args)))

    for leg in LEGS:
        for order, (a, b) in enumerate(pairwise(leg)):
            share = look.trouser_length - order
            add(depth[[a, b]].mean(), _limb, pen, points[a], points[b], LEG_RADII[order], look, share, look.trousers)
        add(depth[leg[-1]] - 0.01, _shoe, pen, points[leg[-1]], forward, look)
    for arm in ARMS:
        for order, (a, b) in enumerate(pairwise(arm)):
            away, share = depth[[a, b]].mean() - 0.02, look.sleeve - order
            add(away, _limb, pen, points[a], points[b], ARM_RADII[order], look, share, look.shirt)
        add(depth[arm[-1]] - 0.03, pen.blob, points[arm[-1]], (0.045, 0.04), 0, look.skin)
    add(depth[[0, 7, 8]].mean(), _torso, pen, points, forward, look)
    add(depth[[9, 10]].mean(), _head, pen, points, forward, look)
    if look.bag == "backpack":
        add(depth[[7, 8]].mean() - 0.16 * forward[2], _backpack, pen, points, forward, look)
    elif look.bag == "shoulder bag":
        place = points[1] + np.array([0, 0.05 * pen.scale])
        add(depth[1] - 0.08, pen.blob, place, (0.15, 0.11), 80, look.bag_colour)
    for _, draw in sorted(parts, key=lambda part: -part[0]):
        draw()


def _split(a: Floats, b: Floats, share: float) -> Floats:
    return a + (b - a) * share


def _limb(pen: Pen, a: Floats, b: Floats, radii: tuple[float, float], look: Look, share: float, cloth: Colour) -> None:
    """A limb of which the first `share` is covered by cloth and the rest is skin."""
    radii = (radii[0] * look.width, radii[1] * look.width)
    if share <= 0:
        pen.limb(a, b, radii, look.skin)
    elif share >= 1:
        pen.limb(a, b, (radii[0] * 1.12, radii[1] * 1.15), cloth)
    else:
        middle = radii[0] + (radii[1] - radii[0]) * share
        pen.limb(a, b, radii, look.skin)
        pen.limb(a, _split(a, b, share), (radii[0] * 1.15, middle * 1.25), cloth)


def _shoe(pen: Pen, ankle: Floats, forward: Floats, look: Look) -> None:
    ahead = np.array([forward[0] * 0.09, 0.05 + max(-forward[2], 0) * 0.03]) * pen.scale
    angle = 0.0 if abs(forward[0]) > 0.3 else 90.0
    length = 0.06 + 0.07 * abs(forward[0])
    pen.blob(ankle + ahead, (max(length, 0.06), 0.05), angle if length > 0.07 else 0, look.shoes)


def _torso(pen: Pen, points: Floats, forward: Floats, look: Look) -> None:
    up = points[8] - points[0]
    up = up / max(float(np.hypot(*up)), 1e-6)
    side = np.array([-up[1], up[0]])
    half = [0.5 * abs(float((points[a] - points[b]) @ side)) / pen.scale for a, b in ((11, 14), (4, 1))]
    # a chest is about two thirds as deep as it is wide: seen from the side it does not vanish
    chest = max(half[0] * 1.12, 0.125) * look.width * pen.scale
    hips = max(half[1] * 1.15, 0.115) * look.width * pen.scale
    shoulders = 0.5 * (points[11] + points[14])
    bottom = points[0] - up * -0.04 * pen.scale
    top = shoulders + up * 0.045 * pen.scale
    waist = 0.5 * (shoulders + points[0])
    narrow = 0.5 * (chest + hips) * 0.93
    middle = np.array([top, shoulders, waist, bottom])
    aside = side * np.array([chest * 0.75, chest, narrow, hips])[:, None]
    outline = np.concatenate([middle - aside, (middle + aside)[::-1]])
    light = side * float(np.sign(side @ np.array(pen.light)) or 1.0)
    pen.polygon(outline, shade(look.shirt, 0.74))
    centre = outline.mean(axis=0)
    pen.polygon(centre + (outline - centre) * [0.74, 0.97] + light * chest * 0.16, shade(look.shirt, 1.02))
    _pattern(pen, look, top, bottom, side, narrow * 0.8, forward)
    neck = _split(points[8], points[9], 0.5)
    skin = look.skin if forward[2] < 0.2 else shade(look.skin, 0.85)
    pen.limb(shoulders + up * 0.03 * pen.scale, neck, (0.055, 0.05), skin)


def _pattern(pen: Pen, look: Look, top: Floats, bottom: Floats, side: Floats, half: float, forward: Floats) -> None:
    bands = {"stripes": ((0.3, 0.39), (0.5, 0.59), (0.7, 0.79)), "halves": ((0.55, 0.95),)}
    for first, last in bands.get(look.pattern, ()):
        a, b = _split(top, bottom, first), _split(top, bottom, last)
        pen.polygon(np.array([a - side * half, a + side * half, b + side * half, b - side * half]), look.second)
    if look.pattern == "logo" and forward[2] < 0.3:
        pen.blob(_split(top, bottom, 0.35), (0.07, 0.06), 0, look.second)


def _head(pen: Pen, points: Floats, forward: Floats, look: Look) -> None:
    centre = _split(points[9], points[10], 0.55)
    ahead = np.array([forward[0], 0.0]) * 0.035 * pen.scale
    hair = (60.0, 50.0, 45.0) if look.hat else look.hair
    cap = look.second if look.hat else look.hair
    pen.blob(centre - ahead * 0.6, (HEAD_RADIUS * 1.16, HEAD_RADIUS * 0.96), 90, hair)
    if forward[2] < 0.55:  # some of the face is seen
        shown = 1.0 if forward[2] < -0.2 else 0.75
        face = centre + ahead + np.array([0, 0.022 * pen.scale])
        pen.blob(face, (HEAD_RADIUS * 0.98, HEAD_RADIUS * 0.78 * shown), 90, look.skin)
    pen.blob(centre + ahead * 0.2 - np.array([0, 0.072 * pen.scale]), (HEAD_RADIUS * 0.9, HEAD_RADIUS * 0.5), 0, cap)


def _backpack(pen: Pen, points: Floats, forward: Floats, look: Look) -> None:
    behind = -np.array([forward[0], 0.0]) * 0.15 * pen.scale
    centre = _split(points[8], points[0], 0.42) + behind
    pen.blob(centre, (0.2, 0.1 + 0.07 * abs(forward[2])), 90, look.bag_colour)


def expose(image: Image, light: Light, rng: np.random.Generator, smear: float = 0.0) -> Image:
    """What the camera's sensor makes of a drawn crop: light, blur, motion blur (pixels), noise."""
    shot = (image.astype(np.float32) - 128) * (light.contrast * np.array(light.gains, np.float32))
    shot = cv2.GaussianBlur(shot + (128 + light.brightness), (0, 0), light.blur)
    if smear >= 2:
        shot = cv2.filter2D(shot, -1, np.ones((1, int(smear)), np.float32) / int(smear))
    noise = rng.normal(0, light.noise, image.shape).astype(np.float32)
    return np.clip(np.rint(np.add(shot, noise)), 0, 255).astype(np.uint8)
