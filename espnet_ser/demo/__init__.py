"""The web page of ``espnet-ser demo``: :mod:`~espnet_ser.demo.page` alone needs Gradio."""
