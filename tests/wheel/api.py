"""What the Python package gives, printed for a test to compare: run in a folder with `photos` and `model`."""

import contextlib
import io

import tagfleet

messages = io.StringIO()
with contextlib.redirect_stderr(messages):
    results = tagfleet.run("photos", model="model", out="tags", include=["summer/*", "home/*"], top_k=2)
print("engine is reported:", messages.getvalue().startswith("engine: ONNX Runtime"))
print("rows:", len(results), "failed:", results.failed)
print("labels:", list(results.labels().items())[:3])
print("first row:", {name: value for name, value in next(iter(results)).items() if name != "tags"})
opened = tagfleet.open("tags")
print("same run:", opened.summary == results.summary)
print("pandas:", len(opened.to_pandas()), opened.to_pandas().key[0])
print("datasets:", opened.to_datasets().num_rows)
page = opened._repr_html_()
print("page:", page.startswith("<iframe") and "sandbox" in page and page.count("data:image") > 5 and "<script" not in page)
for wrong in [
    lambda: tagfleet.run("photos", model="none", out="tags"),
    lambda: tagfleet.run("photos", model="model", out="tags", top_k="many"),
    lambda: tagfleet.open("nothing"),
    lambda: tagfleet.open("s3://shop/tags"),
    lambda: tagfleet.run(model="model", out="tags"),
]:
    try:
        wrong()
    except Exception as error:
        # Other tests compare the output of the program.
        message = f"code {error.code}, one line" if hasattr(error, "code") and len(str(error).splitlines()) == 1 else error
        print(f"{type(error).__name__}: {message}")
