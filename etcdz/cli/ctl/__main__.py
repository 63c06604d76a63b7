import sys

from etcdz.cli.ctl import main

if __name__ == "__main__":
    sys.exit(main())
