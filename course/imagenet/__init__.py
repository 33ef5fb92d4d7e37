"""ImageNet without a download: a pretrained network, its classes, and photos as its inputs.

* `course.imagenet.efficientnet_lite`: the network, used like a module of `keras.applications`;
* `course.imagenet.photos`: photos of any kind as arrays of one size;
* `course.imagenet.classify`: `classify_imagenet`, for this network and those of Keras;
* `course.imagenet.weights`: checked downloads of Keras's own weights.
"""
