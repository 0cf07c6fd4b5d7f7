def read_own(path, protocol, split, settings):
    raise NotImplementedError
