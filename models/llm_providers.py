"""Who serves and bills a language model, as charges name it: one table for every spelling."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

UNDETERMINED: Final = "undetermined"
SELF_HOSTED: Final = "Self-hosted"

# Name in charges → how OpenTelemetry's `gen_ai.provider.name` (older: `gen_ai.system`), LiteLLM's
# `custom_llm_provider` and other gateways write it, without case and punctuation.
_SPELLINGS: Final[Mapping[str, str]] = {
    "OpenAI": "openai textcompletionopenai openairesponses",
    "Anthropic": "anthropic anthropictext claude",
    "AWS": "aws awsbedrock bedrock bedrockconverse bedrockmantle amazon amazonbedrock amazonwebservices sagemaker"
    " sagemakerchat awssagemaker",
    "Google Cloud": "google googlecloud gcp gcpvertexai gcpgemini gcpgenai vertexai vertexaibeta vertex gemini"
    " googlegenai googleaistudio googlevertex",
    "Microsoft": "microsoft azure azureai azuretext azureopenai azaiopenai azureaiopenai azaiinference"
    " azureaiinference azureopenairesponses",
    "OpenRouter": "openrouter",
    "Mistral AI": "mistral mistralai codestral textcompletioncodestral",
    "Cohere": "cohere coherechat",
    "DeepSeek": "deepseek",
    "Groq": "groq",
    "xAI": "xai",
    "Perplexity": "perplexity perplexityai",
    "Together AI": "together togetherai",
    "Fireworks AI": "fireworks fireworksai",
    "Cerebras": "cerebras",
    "Databricks": "databricks",
    "Snowflake": "snowflake",
    "IBM": "ibm ibmwatsonxai watsonx watsonxtext",
    "Oracle": "oci oracle",
    "Hugging Face": "huggingface huggingfacehub",
    "Replicate": "replicate",
    "Voyage AI": "voyage voyageai",
    "Moonshot AI": "moonshot moonshotai",
    SELF_HOSTED: "vllm hostedvllm ollama ollamachat llamacpp lmstudio llamafile xinference tgi sglang triton"
    " selfhosted",
}
_NAMES: Final = {spelling: name for name, text in _SPELLINGS.items() for spelling in text.split()}
_NAMES.update({re.sub(r"\W", "", name).lower(): name for name in _SPELLINGS})

# Ids that only one provider gives out. An id such as claude-sonnet-4-5 is Anthropic's own: Bedrock and Vertex write
# their own spelling of it.
_IDS: Final = (
    (
        r"arn:aws[a-z-]*:(bedrock|sagemaker):|([a-z]{2,6}\.)?(anthropic|amazon|meta|cohere|mistral|ai21|deepseek)\.",
        "AWS",
    ),
    (r"(ft:)?(gpt-|o[1-9](-|$)|chatgpt-|text-embedding-(3|ada)|davinci|babbage|whisper-|tts-|dall-e)", "OpenAI"),
    (r"claude-[^@]*$", "Anthropic"),
    (r"gemini-|text-embedding-00|projects/|publishers/google|claude-.*@\d", "Google Cloud"),
    (r"grok-", "xAI"),
    (r"deepseek-(chat|reasoner)", "DeepSeek"),
)


def provider_named(text: str) -> str:
    """Give the name in charges of a provider as some tool writes it; a name nobody knows stays as it is."""
    return _NAMES.get(re.sub(r"[\W_]", "", text).lower(), text)


def provider_of_model(model_id: str) -> str:
    """Tell who gives out a model id, for sources that name no provider; `undetermined` where several may."""
    return next((name for pattern, name in _IDS if re.match(pattern, model_id)), UNDETERMINED)
