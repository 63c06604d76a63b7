import sys

from etcdz.cli.utl import main

sys.exit(main())
