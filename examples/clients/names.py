"""Calls flow `names` of a running node: writes, reads back, reads a table, watches an output.

    anabranch run flows/names.flow --listen 127.0.0.1:7171
    pip install grpcio grpcio-tools
    python3 examples/clients/names.py 127.0.0.1:7171
"""

import pathlib
import sys
import tempfile

import grpc
import grpc_tools.protoc


def stubs():
    """The classes that protoc makes of `flows/names.proto`."""
    flows = pathlib.Path(__file__).resolve().parents[2] / "flows"
    out = tempfile.mkdtemp()
    arguments = ["protoc", f"-I{flows}", f"--python_out={out}", f"--grpc_python_out={out}", "names.proto"]
    if grpc_tools.protoc.main(arguments) != 0:
        sys.exit("names.proto does not compile")
    sys.path.insert(0, out)
    import names_pb2
    import names_pb2_grpc

    return names_pb2, names_pb2_grpc


def main(address):
    messages, services = stubs()
    with grpc.insecure_channel(address) as channel:
        names = services.NamesStub(channel)

        # One row, and what became of it: an exception when it is refused.
        names.UpdateStream(messages.UpdateStream(name="a", value="1"))

        # One question, and its replies.
        reply = names.ReadStream(messages.ReadStream(name="a"))
        for output in reply.output_stream:
            print(f"{output.name} = {output.value} (found: {output.found}, by {output.sourcenode})")

        # Many rows in one call.
        rows = (messages.UpdateStream(name=f"n{n}", value=str(n)) for n in range(1000))
        summary = names.UpdateStreamMany(rows)
        print(f"{summary.accepted} accepted, {summary.refused} refused")

        # A row of the table, and the first ones in the order of their keys.
        print(names.GetQueryTable(messages.QueryTableKey(name="n7")).value)
        for row in names.ScanQueryTable(messages.QueryTableScan(limit=3)):
            print(row.name, row.value)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7171")
