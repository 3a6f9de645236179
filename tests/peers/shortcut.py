"""Parses a file of a shortcut, and prints its content as JSON: shortcut.py lnk|ico|svg FILE, or argv WORD…"""
import json
import subprocess
import sys
from xml.etree import ElementTree

import LnkParse3
from PIL import Image


def lnk(path):
    with open(path, "rb") as file:
        link = LnkParse3.lnk_file(file)
    read = link.get_json()
    items = read.get("target", {}).get("items", [])
    names = [item.get("primary_name") for item in items if item.get("class") == "File entry"]
    return {"data": read["data"], "names": names, "classes": [item.get("class") for item in items],
            "flags": read["header"]["link_flags"], "extra": read.get("extra", {})}


def ico(path):
    with Image.open(path) as image:
        sizes = sorted(image.ico.sizes())
        pictures = []
        for size in sizes:
            picture = image.ico.getimage(size).convert("RGBA")
            colours = sorted((count, pixel) for count, pixel in picture.getcolors(1 << 20))
            most = [pixel for _, pixel in colours[::-1] if pixel[3] == 255]
            corner = picture.getpixel((0, 0))
            white = sum(1 for pixel in most if pixel[:3] == (255, 255, 255))
            pictures.append({"size": size, "ground": most[0], "corner": corner[3], "white": white})
    return pictures


def svg(path):
    root = ElementTree.parse(path).getroot()
    name = "{http://www.w3.org/2000/svg}"
    return {"root": root.tag, "text": root.find(name + "text").text, "fill": root.find(name + "rect").get("fill")}


if sys.argv[1] == "argv":
    answer = subprocess.list2cmdline(sys.argv[2:])
else:
    answer = {"lnk": lnk, "ico": ico, "svg": svg}[sys.argv[1]](sys.argv[2])
print(json.dumps(answer, default=str))
