"""The shapes of requests and answers, for the OpenAPI document."""

from typing import Any

TEXT, NUMBER, WHOLE, TRUTH = {"type": "string"}, {"type": "number"}, {"type": "integer"}, {"type": "boolean"}
TEXTS = {"type": "array", "items": TEXT}


def ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def of(required: str = "", **properties: Any) -> dict[str, Any]:
    """An object; `required`: names in one text."""
    made: dict[str, Any] = {"type": "object", "properties": properties}
    return made | ({"required": required.split()} if required else {})


def many(schema: Any) -> dict[str, Any]:
    return {"type": "array", "items": schema}


ANSWERED: dict[str, Any] = {"model": TEXT, "version": TEXT, "ms": {**NUMBER, "description": "Milliseconds."}}
TENSOR = of(
    "name datatype shape", name=TEXT, datatype=TEXT, shape=many(WHOLE), parameters={"type": "object"},
    data={"type": "array", "description": "The elements, nested or flat; absent if binary_data_size is given."},
)  # fmt: skip
SCHEMAS: dict[str, Any] = {
    "Error": of("error", error={**TEXT, "description": "One sentence."}),
    "Model": of(
        "name kind version engine precision ready", name=TEXT, kind={"enum": ["images", "questions", "tables"]},
        version=TEXT, engine={"enum": ["openvino", "onnx", "torch"]}, precision=TEXT, ready=TRUTH,
        predict={**TEXT, "description": "The path below the model's that predicts: images, ask or rows."},
        classes=TEXTS, calibration=TEXT, any_size=TRUTH, several={**TRUTH, "description": "Several labels an image."},
        blocks=many(of(name=TEXT, module=TEXT, removable=TRUTH)), settings={"type": "object"},
        fields=many(of(name=TEXT, kind={"enum": ["number", "category", "categories", "text", "date"]}, values=TEXTS)),
    ),
    "Images": of(
        **ANSWERED, predictions=many(of(file=TEXT, labels=TEXTS, classes=many(of(name=TEXT, probability=NUMBER)))),
        notes=TEXTS, broken=many(of(file=TEXT, reason=TEXT)), disabled=TEXTS,
    ),
    "Answers": of(
        **ANSWERED, answers=many(of(
            text={**TEXT, "description": "Empty: no answer."}, score=NUMBER, probability=NUMBER,
            document={"type": ["integer", "null"]}, start=WHOLE, end=WHOLE)),
        notes={**TEXTS, "description": "What was changed of the request, such as a question that was truncated."},
    ),
    "Rows": of(**ANSWERED, predictions=many(of(predicted={}, probabilities={"type": "object"})), notes=TEXTS),
    "Inference": of("inputs", id=TEXT, inputs=many(TENSOR), parameters={"type": "object"},
                    outputs=many(of("name", name=TEXT, parameters={"type": "object"}))),
    "Inferred": of("model_name outputs", model_name=TEXT, model_version=TEXT, id=TEXT, outputs=many(TENSOR)),
    "Metadata": of("name inputs outputs", name=TEXT, versions=TEXTS, platform=TEXT, inputs=many(TENSOR),
                   outputs=many(TENSOR)),
}  # fmt: skip
FORM = of(
    "files", files=many({"type": "string", "contentMediaType": "application/octet-stream"}),
    top={**WHOLE, "default": 5, "description": "How many classes of each image."},
    disable={**TEXTS, "description": "Blocks to disable, by name; may be repeated."},
)  # fmt: skip
BODIES: dict[str, Any] = {
    "POST /api/models/{name}/images": {
        "multipart/form-data": {"schema": FORM},
        "image/*": {"schema": {"type": "string", "contentMediaType": "application/octet-stream"}},
    },
    "POST /api/models/{name}/ask": {"application/json": {
        "schema": of("question contexts", question=TEXT, contexts=TEXTS, top=WHOLE),
        "example": {"question": "Who built it?", "contexts": ["It was built by Ada."], "top": 3}}},
    "POST /api/models/{name}/rows": {"application/json": {
        "schema": of("rows", rows=many({"type": "object"})), "example": {"rows": [{"column": "value", "other": 1.5}]}}},
    "POST /v2/models/{name}/infer": {"application/json": {"schema": ref("Inference")}},
}  # fmt: skip
RESULTS: dict[str, Any] = {
    "GET /api/models": many(ref("Model")),
    "GET /api/models/{name}": ref("Model"),
    "POST /api/models/{name}/images": ref("Images"),
    "POST /api/models/{name}/ask": ref("Answers"),
    "POST /api/models/{name}/rows": ref("Rows"),
    "POST /v2/models/{name}/infer": ref("Inferred"),
    "GET /v2/models/{name}": ref("Metadata"),
}
