"""What `image.rs` measures, by torchvision on Pillow in one thread: jpeg files to views of 224 pixels.

    pip install pillow==11.3.0 torchvision==0.24.0 && BRIDLE_DATA=DIR python tasks/benches/image.py
"""
import io, os, pathlib, statistics, time

import torch
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, RandomResizedCrop, Resize

torch.set_num_threads(1)
root = pathlib.Path(os.environ["BRIDLE_DATA"]) / "imagenet-samples256"
files = [path.read_bytes() for path in sorted(root.glob("*/*"))[::10]]
centre = Compose([Resize(256, InterpolationMode.BICUBIC), CenterCrop(224)])
region = RandomResizedCrop(224, (0.2, 1.0), interpolation=InterpolationMode.BICUBIC)

for name, view in [("decode", None), ("decode, centre of 224", centre), ("decode, random region to 224", region)]:
    times = []
    for _ in range(30):
        begun = time.perf_counter()
        for data in files:
            picture = Image.open(io.BytesIO(data)).convert("RGB")
            if view:
                view(picture)
        times.append(time.perf_counter() - begun)
    median = statistics.median(times)
    print(f"{name}: {1e3 * median:.2f} ms for {len(files)} files, {len(files) / median:.0f} per second")
