"""From photographs to embeddings: load, detect, align, embed.

The only door to facenet-pytorch's detector, torchvision and onnxruntime.
"""
