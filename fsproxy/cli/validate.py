import click


@click.command()
def validate(): """X"""
