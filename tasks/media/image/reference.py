"""Makes tasks/image/reference/*.json: small pictures as Pillow and torchvision have them, for the tests beside it.

    pip install pillow==11.3.0 torchvision==0.24.0 && python tasks/image/reference.py

Those versions wrote them. Pillow 13 shrinks upright pictures in another order and gives other bytes.
"""
import io, json, pathlib

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize
from torchvision.transforms import functional as F

HERE = pathlib.Path(__file__).parent / "reference"


def pattern(width, height):
    """Smooth colours with sharp edges: every byte from one formula, so that no file is needed."""
    y, x = np.mgrid[0:height, 0:width]
    red = (x * 7 + y * 3) % 256
    green = (x * x + y * y) // 5 % 256
    blue = np.where((x // 5 + y // 4) % 2 == 0, 220, 30)
    return Image.fromarray(np.stack([red, green, blue], 2).astype(np.uint8))


def text(data):
    return data.hex()


def picture(image):
    image = image.convert("RGB")
    return {"width": image.width, "height": image.height, "rgb": text(image.tobytes())}


def resizes():
    cases = []
    for width, height, side in [(61, 40, 16), (40, 61, 16), (33, 33, 28), (9, 7, 14), (300, 20, 7)]:
        image = pattern(width, height)
        short = round(side * 256 / 224)
        judged = Compose([Resize(short, InterpolationMode.BICUBIC), CenterCrop(side)])(image)
        left, top, wide, high = width // 5, height // 4, width // 2, height // 2
        cut = F.resized_crop(image, top, left, high, wide, [side, side], InterpolationMode.BICUBIC)
        cases.append(
            {"width": width, "height": height, "side": side, "region": [left, top, wide, high],
             "centre": text(judged.tobytes()), "square": text(cut.tobytes())})
    return cases


def saved(image, form, **options):
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def files():
    rgb, grey = pattern(21, 18), pattern(21, 18).convert("L")
    alpha = np.dstack([np.asarray(rgb), (np.arange(378) % 256).reshape(18, 21).astype(np.uint8)])
    deep = Image.fromarray((np.asarray(grey).astype(np.uint16) * 3))
    cmyk = saved(rgb.convert("CMYK"), "JPEG", quality=90)
    # the byte after Adobe's version and flags says whether the first three channels are YCC
    adobe = cmyk.index(b"Adobe") + 11
    exif = Image.Exif()
    exif[0x0112] = 6
    named = {
        "jpeg 4:2:0": saved(rgb, "JPEG", quality=90),
        "jpeg 4:2:2": saved(rgb, "JPEG", quality=90, subsampling=1),
        "jpeg 4:4:4": saved(rgb, "JPEG", quality=90, subsampling=0),
        "jpeg progressive": saved(rgb, "JPEG", quality=90, progressive=True),
        "jpeg with restarts": saved(rgb, "JPEG", quality=90, restart_marker_rows=1),
        "jpeg grey": saved(grey, "JPEG", quality=90),
        "jpeg cmyk": cmyk,
        "jpeg ycck": cmyk[:adobe] + b"\x02" + cmyk[adobe + 1:],
        "jpeg of rgb": saved(rgb, "JPEG", quality=90, keep_rgb=True),
        "jpeg turned by exif": saved(rgb, "JPEG", quality=90, exif=exif),
        "jpeg with bytes behind": saved(rgb, "JPEG", quality=90) + b"more\xff\xd8\xff\xe0",
        "png": saved(rgb, "PNG"),
        "png grey": saved(grey, "PNG"),
        "png of one bit": saved(grey.convert("1"), "PNG"),
        "png palette": saved(rgb.quantize(16), "PNG"),
        "png palette, transparent": saved(rgb.quantize(16), "PNG", transparency=3),
        "png alpha": saved(Image.fromarray(alpha), "PNG"),
        "png grey alpha": saved(Image.fromarray(alpha).convert("LA"), "PNG"),
        "png grey of 16 bits": saved(deep, "PNG"),
    }
    return [{"name": name, "file": text(data), **picture(Image.open(io.BytesIO(data)))} for name, data in named.items()]


def operations():
    """The functions that timm 1.0.31 calls, by the names and strengths of operation.rs."""
    image, fill = pattern(23, 19), (124, 116, 104)
    dull = ImageEnhance.Contrast(image).enhance(0.4)
    geometry = {"resample": Image.Resampling.BICUBIC, "fillcolor": fill}
    affine = lambda *map: image.transform(image.size, Image.Transform.AFFINE, map, **geometry)
    added = [min(255, byte + 99) if byte < 128 else byte for byte in range(256)]
    changed = {
        "AutoContrast": ImageOps.autocontrast(dull),
        "Equalize": ImageOps.equalize(pattern(37, 31)),
        "Invert": ImageOps.invert(image),
        "Rotate(27.0)": image.rotate(27.0, **geometry),
        "Rotate(-13.5)": image.rotate(-13.5, **geometry),
        "Posterize(1)": ImageOps.posterize(image, 1),
        "Posterize(0)": ImageOps.posterize(image, 0),
        "Solarize(26)": ImageOps.solarize(image, 26),
        "SolarizeAdd(99)": image.point(3 * added),
        "Colour(1.81)": ImageEnhance.Color(image).enhance(1.81),
        "Colour(0.19)": ImageEnhance.Color(image).enhance(0.19),
        "Contrast(1.81)": ImageEnhance.Contrast(image).enhance(1.81),
        "Contrast(0.19)": ImageEnhance.Contrast(image).enhance(0.19),
        "Brightness(1.81)": ImageEnhance.Brightness(image).enhance(1.81),
        "Sharpness(1.81)": ImageEnhance.Sharpness(image).enhance(1.81),
        "Sharpness(0.19)": ImageEnhance.Sharpness(image).enhance(0.19),
        "ShearX(0.27)": affine(1, 0.27, 0, 0, 1, 0),
        "ShearY(-0.27)": affine(1, 0, 0, -0.27, 1, 0),
        "TranslateX(0.405)": affine(1, 0, 0.405 * image.width, 0, 1, 0),
        "TranslateY(-0.405)": affine(1, 0, 0, 0, 1, -0.405 * image.height),
    }
    return [{"operation": name, **picture(after)} for name, after in changed.items()]


def write(name, cases):
    HERE.mkdir(exist_ok=True)
    (HERE / name).write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    write("resize.json", resizes())
    write("files.json", files())
    write("operations.json", operations())
