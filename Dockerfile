FROM python:3.13-slim
WORKDIR /app
COPY requirements.txt ./
RUN pip install --no-cache-dir -r requirements.txt
COPY app.py gunicorn.conf.py ./
COPY auth auth
COPY sql sql
# nobody, as a number: Kubernetes' runAsNonRoot cannot tell from a name
USER 65534
EXPOSE 8080
CMD ["gunicorn", "app:app"]
